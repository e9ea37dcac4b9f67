"""What is made from the catalog is committed, current and well formed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from libs.topics import generate
from libs.topics.catalog import TOPICS
from libs.topics.topic import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED = generate.documents()
ASYNCAPI: dict[str, Any] = json.loads(WANTED[Path("docs/asyncapi.json")])
PAGE = WANTED[Path("docs/topics.md")]


def test_the_committed_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_generating_twice_gives_the_same_bytes() -> None:
    assert generate.documents() == WANTED


def test_every_message_has_a_row_of_as_many_cells_as_the_table() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| <a id=")]
    assert {row.replace(r"\|", "").count("|") for row in rows} == {4}


def test_every_type_of_a_live_topic_is_released() -> None:
    live = {kind for topic in TOPICS if topic.stage == "live" for kind in topic.kinds}
    assert {path.stem for path in (generate.ROOT / generate.RELEASED).glob("*.json")} == live


def test_the_document_has_the_projects_version() -> None:
    project = tomllib.loads((generate.ROOT / "pyproject.toml").read_text())
    assert ASYNCAPI["info"]["version"] == project["project"]["version"]


def test_every_schema_is_a_json_schema() -> None:
    for path, text in WANTED.items():
        if path.is_relative_to(generate.SCHEMAS):
            Draft202012Validator.check_schema(json.loads(text))


def nodes(part: Any, way: str = "#") -> Iterator[tuple[str, Any]]:
    yield way, part
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in children:
        yield from nodes(child, f"{way}/{key}")


def pointed(reference: str) -> Any:
    part: Any = ASYNCAPI
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    references = [
        content["$ref"]
        for way, content in nodes(ASYNCAPI)
        if isinstance(content, dict) and isinstance(content.get("$ref"), str) and "/examples/" not in way
    ]
    assert len(references) > 100
    for reference in references:
        assert isinstance(pointed(reference), dict), reference


def test_the_asyncapi_document_has_what_version_3_asks_for() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= ASYNCAPI["info"].keys()
    for name, channel in ASYNCAPI["channels"].items():
        assert channel["address"] == name == channel["bindings"]["kafka"]["topic"]
        assert channel["messages"]
        configuration = channel["bindings"]["kafka"]["topicConfiguration"]
        assert configuration["cleanup.policy"] in (["delete"], ["compact"])
        assert isinstance(configuration["retention.ms"], int)
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"]["$ref"].startswith("#/channels/")
    for name, message in ASYNCAPI["components"]["messages"].items():
        assert message["name"] == name
        assert message["summary"]
        assert len(message["examples"]) >= 2


def test_the_asyncapi_document_has_every_readable_topic_and_every_use_of_it_by_a_service() -> None:
    readable = [topic for topic in TOPICS if topic.format == "json"]
    assert set(ASYNCAPI["channels"]) == {topic.name for topic in readable}
    sends = {f"{name}.sends.{topic.name}" for topic in readable for name in topic.producers if name not in OUTSIDE}
    receives = {
        f"{name}.receives.{topic.name}" for topic in readable for name in topic.consumers if name not in OUTSIDE
    }
    assert set(ASYNCAPI["operations"]) == sends | receives


def test_examples_of_the_asyncapi_document_fit_its_payloads() -> None:
    for name, message in ASYNCAPI["components"]["messages"].items():
        payload = {**message["payload"], "components": ASYNCAPI["components"]}
        check = Draft202012Validator(payload)
        for example in message["examples"]:
            check.validate(example["payload"])
            assert example["payload"]["type"] == name


def test_the_page_has_a_section_per_topic_and_its_links_lead_somewhere() -> None:
    for topic in TOPICS:
        assert f"\n### {topic.name}\n" in PAGE
        assert f"| {topic.stage} |" in PAGE
    anchors = {line.split('id="')[1].split('"')[0] for line in PAGE.splitlines() if 'id="' in line}
    anchors |= {line[4:].replace(".", "") for line in PAGE.splitlines() if line.startswith("### ")}
    for link in PAGE.split("](")[1:]:
        target = link.split(")")[0]
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (generate.ROOT / "docs" / target).exists(), target


def test_fields_carry_the_words_of_the_sources() -> None:
    changed = json.loads(WANTED[generate.SCHEMAS / "presence_changed.json"])
    assert changed["description"].startswith("The state of a device's session")
    assert changed["properties"]["reason"]["description"] == "The source's own words on a close."
    assert "milliseconds since 1970" in changed["properties"]["observed_at"]["description"]
    inherited = json.loads(WANTED[generate.SCHEMAS / "command_sent.json"])["properties"]["id"]["description"]
    assert inherited.startswith("`topic-partition-offset-n` of the cause")


# what the command does, in a repository of its own


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generate.write(tmp_path, WANTED)
    return tmp_path


def test_writing_makes_every_file_and_nothing_is_stale_afterwards(root: Path) -> None:
    assert generate.main(["--check"], root) == 0
    assert {path.relative_to(root) for path in root.rglob("*") if path.is_file()} == set(WANTED)


def test_a_stale_a_missing_and_an_obsolete_file_are_named_with_the_command_that_mends_them(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "docs/topics.md").write_text("old")
    (root / generate.SCHEMAS / "traffic_seen.json").unlink()
    (root / generate.SCHEMAS / "forgotten.json").write_text("{}")
    assert generate.main(["--check"], root) == 1
    said = capsys.readouterr().err
    for name in ("docs/topics.md", "traffic_seen.json", "forgotten.json", generate.COMMAND):
        assert name in said
    assert generate.main([], root) == 0
    assert generate.main(["--check"], root) == 0
    assert not (root / generate.SCHEMAS / "forgotten.json").exists()


def released(root: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    path = root / generate.RELEASED / f"{kind}.json"
    return path, json.loads(path.read_text())


@pytest.mark.parametrize("arguments", [[], ["--check"]], ids=["write", "check"])
def test_an_incompatible_change_of_a_released_message_is_refused_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path, content = released(root, "presence_changed")
    content["properties"]["severity"] = {"type": "integer"}
    path.write_text(before := json.dumps(content))
    (root / "docs/topics.md").write_text("old")
    assert generate.main(arguments, root) == 1
    assert "presence_changed.json: field severity was removed" in capsys.readouterr().err
    assert path.read_text() == before
    assert (root / "docs/topics.md").read_text() == "old"


def test_a_released_message_that_is_gone_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, content = released(root, "traffic_seen")
    path.with_name("battery_seen.json").write_text(json.dumps(content))
    assert generate.main([], root) == 1
    assert "the message type battery_seen is gone from the live topics" in capsys.readouterr().err


def test_a_compatible_change_moves_the_baseline(root: Path) -> None:
    path, content = released(root, "connection_observed")
    del content["properties"]["takeover"]
    path.write_text(json.dumps(content))
    assert generate.main([], root) == 0
    assert released(root, "connection_observed")[1]["properties"]["takeover"] == {"type": "boolean"}
