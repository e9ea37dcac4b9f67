"""The upgrade gate: another version of Faust, mode or aiokafka passes only if all that the lane relies on is as read.

No test can show that a hook which still exists is still called at the right moment; a source that did not change can.
"""

from __future__ import annotations

import dis
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from faust.types.settings import Settings

from libs.runtime.lane import app, consumer, fetch, recovery, store, worker
from libs.runtime.settings import KafkaSettings
from tests.unit.runtime.lane import stock
from tests.unit.runtime.lane.stock import ATTRIBUTES, CALLED, OVERRIDDEN, Stock, find, plain, source

PACKAGES = ("faust-streaming", "mode-streaming", "aiokafka")

OURS = (
    consumer.SliceConsumer,
    consumer.SliceMessage,
    fetch.SliceThread,
    app.SliceSchema,
    app.LaneTransport,
    app.SteadyFlow,
    app.LaneApp,
    recovery.LaneRecovery,
    recovery.LaneTableManager,
    store.MemoryStore,
    store.RocksStore,
    store.LaneTable,
    worker.Worker,
)

MAY_DIFFER = {"LaneApp.__init__", "Worker.__init__", "MemoryStore.__getitem__", "RocksStore.__getitem__"}
"""An app is made by services and a worker by `worker.run`, not by Faust; a store's item is looked up by position."""


def _overrides() -> list[tuple[str, Any, str]]:
    """Our name, our function, path of the stock function that it stands for."""
    found = []
    for ours in OURS:
        lanes = [cls for cls in ours.__mro__ if cls.__module__.startswith("libs.")]
        stocks = [cls for cls in ours.__mro__ if cls not in lanes and cls is not object]
        for name in sorted({name for cls in lanes for name in cls.__dict__}):
            mine = plain(inspect.getattr_static(ours, name))
            base = next((cls for cls in stocks if name in cls.__dict__), None)
            if base is not None and inspect.isfunction(mine):
                found.append((f"{ours.__name__}.{name}", mine, f"{base.__module__}:{base.__qualname__}.{name}"))
    return found


@pytest.mark.parametrize("piece", OVERRIDDEN + CALLED, ids=lambda piece: piece.path)
def test_what_the_lane_relies_on_is_as_it_was_read(piece: Stock) -> None:
    installed = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    found = stock.digest(piece.path)
    assert found == piece.digest, (
        f"{piece.path} is not what was read: read it again ({piece.why}), run tests/integration/lane, "
        f"then write {found!r} into {stock.__name__}. Installed: {installed}"
    )


@pytest.mark.parametrize(("owner", "name", "why"), ATTRIBUTES, ids=[name for _, name, _ in ATTRIBUTES])
def test_attributes_are_where_they_were(owner: str, name: str, why: str) -> None:
    bases = find(owner).__mro__
    assert any(name in base.__dict__ or _sets(base, name) for base in bases), f"{owner} has no {name} any more: {why}"


def _sets(cls: type, name: str) -> bool:
    """Whether any function of the class stores the attribute."""
    functions = [plain(piece) for piece in cls.__dict__.values()]
    return any(
        step.opname == "STORE_ATTR" and step.argval == name
        for function in functions
        if inspect.isfunction(function)
        for step in dis.get_instructions(function)
    )


def test_every_override_is_in_the_table() -> None:
    listed = {piece.path for piece in OVERRIDDEN}
    missing = {f"{mine} overrides {path}" for mine, _, path in _overrides() if path not in listed}
    assert not missing, "read what it replaces and list it"


def test_nothing_is_in_the_table_that_is_not_overridden() -> None:
    overridden = {path for _, _, path in _overrides()}
    others = {piece.path for piece in OVERRIDDEN} - overridden
    assert others == {"faust.transport.drivers.aiokafka:Transport"}, "its Consumer is a class, not a function"


@pytest.mark.parametrize(("name", "mine", "path"), _overrides(), ids=[name for name, _, _ in _overrides()])
def test_an_override_takes_what_the_stock_takes(name: str, mine: Any, path: str) -> None:
    wanted = inspect.signature(plain(find(path))).parameters
    own = inspect.signature(mine).parameters
    catches_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in own.values())
    if name in MAY_DIFFER or catches_all:
        return
    assert list(own) == list(wanted), f"{name} of the lane and {path} take other arguments"


def test_every_setting_that_the_lane_injects_is_one_of_fausts() -> None:
    names = set(app.DEFAULTS)
    conf = app.LaneApp("gate", kafka=KafkaSettings(partitions=5)).conf
    assert {name for name in names if not isinstance(getattr(Settings, name, None), property)} == set()
    assert (conf.Table, conf.TableManager) == (store.LaneTable, recovery.LaneTableManager)
    assert conf.topic_partitions == 5


def test_the_gate_sees_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    piece = OVERRIDDEN[1]
    before = stock.digest(piece.path)
    changed = source(piece.path).replace("yield", "yield  # changed", 1)
    monkeypatch.setattr(stock, "source", lambda _: changed)
    assert stock.digest(piece.path) != before == piece.digest
