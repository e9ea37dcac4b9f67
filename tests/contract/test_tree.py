"""The house's rules about files, as far as a program can see them. Import rules are contracts in pyproject.toml."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("libs", "services")
TOOLS = ("cli", "devstack", "fleet", "demo", "bench")

GRAMMAR = {
    "__init__": "makes the package",
    "__main__": "three lines",
    "app": "the only wiring",
    "settings": "variables with defaults and meanings",
    "metrics": "metrics with their meanings",
    "model": "rows and reference data",
    "decide": "what an inbox message means now",
    "fold": "the row after an event",
    "step": "a lane's step",
    "views": "reads of owned rows over HTTP",
    "parse": "a message from outside as ours, or ours as what goes outside (no lane)",
    "bridge": "between MQTT and Kafka (no lane)",
    "rows": "an event as rows (sink)",
    "consumer": "Kafka to ClickHouse or MQTT (no lane)",
}
PARTS: dict[str, dict[str, set[str]]] = {
    "api": {
        "app": {
            "access",
            "allowance",
            "asking",
            "bodies",
            "bulk",
            "codes",
            "command_calls",
            "command_documents",
            "command_examples",
            "command_pages",
            "command_queries",
            "commands",
            "conditions",
            "convergence",
            "credentials",
            "describe",
            "device_access",
            "devices",
            "direct",
            "documents",
            "examples",
            "fanout_counts",
            "fanout_course",
            "fanout_documents",
            "fanout_watch",
            "fanouts",
            "frames",
            "gate",
            "group",
            "group_calls",
            "hub",
            "idempotency",
            "identity",
            "joining",
            "ledger",
            "limits",
            "merge_patch",
            "moments",
            "newcomers",
            "openapi",
            "page",
            "params",
            "payloads",
            "positions",
            "presence",
            "probes",
            "problems",
            "products",
            "queries",
            "refusals",
            "routes.broker",
            "routes.bulk",
            "routes.commands",
            "routes.devices",
            "routes.docs",
            "routes.fanouts",
            "routes.health",
            "routes.joining",
            "routes.ledger",
            "routes.messages",
            "routes.presence",
            "routes.probes",
            "routes.products",
            "routes.shadow",
            "routes.shadow_past",
            "routes.shadows",
            "routes.stream",
            "routes.tagged",
            "routes.tags",
            "routes.telemetry",
            "routes.uplink",
            "scatter",
            "serving",
            "shadow",
            "shadow_calls",
            "shadow_diff",
            "shadow_documents",
            "shadow_id",
            "shadow_past",
            "shadow_queries",
            "tagged",
            "telemetry",
            "tokens",
            "waiting",
        },
        "__main__": {
            "catchup",
            "connect",
            "fan",
            "history",
            "join_mqtt",
            "live",
            "missed",
            "server",
            "streaming",
            "uplink",
        },
    },
    "ingest": {
        "parse": {"letters", "paths", "routes", "sources.common"},
        "app": {
            "assignment",
            "connections",
            "group",
            "replica",
            "shards",
            "sources.aliyun",
            "sources.emqx",
            "sources.relay",
            "sources.rmqtt",
        },
        "bridge": {
            "books",
            "entries",
            "keeper",
            "leases",
            "listing",
            "notes",
            "outlet",
            "pump",
            "resume",
            "sources.emqx_clients",
            "state",
            "tenure",
            "watch",
        },
    },
    "registry": {
        "decide": {"checks", "devices", "documents", "memory", "products", "verdicts"},
        "step": {"reference", "rollout", "spread"},
    },
    "downlink": {
        "consumer": {"commits", "credit", "letters", "notices", "teller"},
        "bridge": {"packets", "publisher", "window"},
    },
    "guard": {"app": {"broker", "emqx", "emqx_api", "credentials", "files", "keeper", "kept", "sessions"}},
    "presence": {"fold": {"forget", "lives"}, "step": {"leases", "session", "transitions"}},
    "shadow": {
        "decide": {"changes", "intents", "limits"},
        "step": {"aliyun", "iothub", "lives", "mouth", "speech", "status", "template", "wire"},
        "app": {"reference"},
    },
    "commands": {
        "decide": {"limits", "outcomes"},
        "step": {"lives", "mouth", "probe", "pulls", "tag_topics", "turn"},
        "app": {"reference"},
    },
    "timeseries": {
        "rows": {"command_tables", "commands", "device_time", "flatten", "records", "shadows", "table", "tables"},
        "consumer": {"blocks", "offsets", "partition", "store"},
    },
}
"""Files beyond the grammar, below the file of the grammar that they are a part of. A part of a pure file is pure."""

ENDINGS = {
    "die": "stops the process",
    "set_exception": "hands it to whoever waits",
    "refuse": "makes it a dead letter",
    "_give_up": "makes it a dead letter",
    "as_problem": "answers the caller of the API, and logs what is the hub's own fault",
    "log_failure": "logs an error of a device's application, which is not the SDK's to end",
    "failed": "answers the caller of a device's command, and logs it",
}
"""What a handler of every exception may do with it, other than raising again."""

FORBIDDEN = {
    "a place of somebody's machine": r"(?<![\w.])/" + r"(work|home|root|Users)/|bash_" + "jobs",
    "the address of a package index": r"(?i)index"
    r"[-_]url|artifact"
    r"ory|/simple/?[\s\"']|pypi\.org/"
    "simple",
    "an unfinished thought": r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b",
    "an excuse for the coverage": "pragma: no " + "cover",
}
FORBIDDEN_IN_TESTS = {
    "a test that does not run": r"\b(skip|skipif|xfail|importorskip)\b *\(",
}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--", *patterns), cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


PYTHON = tracked("*.py")
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PYTHON}
SERVICES = sorted(path.parent for path in tracked("services/*/__main__.py"))
services = pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)


def modules(service: Path) -> set[str]:
    """Names below the service; those of a package in it carry the package's."""
    paths = (path.relative_to(service).with_suffix("") for path in tracked(f"services/{service.name}/*.py"))
    return {".".join(path.parts) for path in paths if path.name != "__init__" or len(path.parts) == 1}


def imported(service: Path, name: str) -> set[str]:
    """Modules of its own service that a file imports, those for the type checker included."""
    found = set[str]()
    package = ("services", service.name, *name.split(".")[:-1])
    for node in ast.walk(TREES[service / (name.replace(".", "/") + ".py")]):
        if isinstance(node, ast.ImportFrom):
            base = (*package[: len(package) - node.level + 1], node.module) if node.level else (node.module or "",)
            whole = ".".join(part for part in base if part)
            found |= {whole, *(f"{whole}.{alias.name}" for alias in node.names)}
    return {module.removeprefix(f"services.{service.name}.") for module in found}


@services
def test_a_service_is_made_of_the_house_s_files(service: Path) -> None:
    parts = set[str]().union(*PARTS.get(service.name, {}).values())
    assert modules(service) - GRAMMAR.keys() - parts == set(), "neither in GRAMMAR nor in PARTS"
    assert {"__init__", "__main__", "app", "settings"} <= modules(service)


@services
def test_a_part_is_used_by_the_file_that_it_is_a_part_of(service: Path) -> None:
    for owner, parts in PARTS.get(service.name, {}).items():
        assert owner in modules(service), f"{owner} owns parts and does not exist"
        reached, fresh = set[str](), {owner}
        while fresh:
            reached |= fresh
            fresh = set[str]().union(*(imported(service, name) for name in fresh)) & parts - reached
        assert parts - reached == set(), f"not a part of {owner}"


@services
def test_a_service_begins_in_three_lines(service: Path) -> None:
    body = TREES[service / "__main__.py"].body
    statements = [node for node in body if not isinstance(node, ast.ImportFrom)]
    if ast.get_docstring(TREES[service / "__main__.py"]):
        statements = statements[1:]
    assert [ast.unparse(node).partition("(")[0] for node in statements] == ["run"]
    assert f'run("{service.name}", ' in (service / "__main__.py").read_text(encoding="utf-8")


@services
def test_a_service_is_tested_under_its_own_name(service: Path) -> None:
    assert tracked(f"tests/unit/{service.name}/test_*.py") or tracked(f"tests/integration/{service.name}/test_*.py")


def test_tests_use_no_noun_of_their_own() -> None:
    nouns = {path.name for path in SERVICES} | {
        *TOOLS,
        "runtime",
        "lane",
        "shadow",
        "topics",
        "sdk",
    }  # the lane: the runtime's own core
    for tier in ("unit", "integration"):
        used = {path.relative_to(ROOT).parts[2] for path in tracked(f"tests/{tier}/*.py")}
        folders = {noun for noun in used if not noun.endswith(".py")}
        assert folders - nouns == set()


@pytest.mark.parametrize("path", [path for path in PYTHON if path.relative_to(ROOT).parts[0] != "tests"], ids=name_of)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    wiring = not TREES[path].body or path.stem == "__main__"
    assert wiring or ast.get_docstring(TREES[path])


def test_files_are_small() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert {name: lines for name, lines in lengths.items() if lines > 450} == {}
    assert quantiles(lengths.values(), n=10)[-1] < 300


def test_functions_are_small() -> None:
    functions = {
        f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines >= 60} == {}


def catches_everything(handler: ast.ExceptHandler) -> bool:
    kinds: list[Any] = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)


def ends_somewhere(handler: ast.ExceptHandler) -> bool:
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ENDINGS:
            return True
    return False


def test_no_exception_is_swallowed() -> None:
    swallowed = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node) and not ends_somewhere(node)
    ]
    suppressed = [
        f"{name_of(path)}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and re.fullmatch(r"(contextlib\.)?suppress\(.*\b(Base)?Exception\b.*\)", ast.unparse(node))
    ]
    assert swallowed + suppressed == []


@pytest.mark.parametrize("pattern", FORBIDDEN.values(), ids=FORBIDDEN)
def test_no_tracked_file_holds(pattern: str) -> None:
    assert findings(tracked(), pattern) == []


@pytest.mark.parametrize("pattern", FORBIDDEN_IN_TESTS.values(), ids=FORBIDDEN_IN_TESTS)
def test_no_test_holds(pattern: str) -> None:
    assert findings([path for path in tracked("tests/*.py") if path != Path(__file__)], pattern) == []


def test_no_test_waits_and_hopes() -> None:
    """Tests wait with `tests.support.polling`, or in virtual time; ``sleep(0)`` gives others a turn."""
    waits = [
        f"{name_of(path)}:{node.lineno}"
        for path in tracked("tests/*.py")
        if path.name not in ("polling.py", "virtual_time.py")
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "sleep"
        and ast.unparse(node) not in ("asyncio.sleep(0)", "sleep(0)")
    ]
    assert waits == []


def findings(paths: list[Path], pattern: str) -> list[str]:
    expression = re.compile(pattern)
    return [
        f"{name_of(path)}:{number}: {line.strip()[:120]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if expression.search(line)
    ]
