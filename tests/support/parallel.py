"""What a test process takes as a whole, when several share the tests (`pytest -n 2 --dist loadfile`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest

TOGETHER = {
    "tests/integration/api/": "api",
    "tests/integration/guard/": "guard",
    "tests/integration/cli/": "hub",
    "tests/e2e/commands/": "commands",
    "tests/e2e/test_clients.py": "hub",
    "tests/e2e/test_demo.py": "hub",
}
"""Files that share a stack of their own, which two processes would start twice."""


def unit(test: str) -> str:
    """The file of a test's id, or what its file belongs to."""
    file = test.partition("::")[0]
    return next((name for path, name in TOGETHER.items() if file.startswith(path)), file)


def units(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Hands out units in the order of collection, which says which tests meet running services."""
    config.option.loadscopereorder = False
    scheduling = LoadFileScheduling(config, log)
    scheduling._split_scope = unit
    return scheduling
