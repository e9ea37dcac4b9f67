"""Laws of the registry's rows: what is repeated changes nothing, and the public log makes the row again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestRefused
from libs.topics.messages.registry import ProductDefaults
from libs.topics.messages.registry_events import ProductChanged
from services.registry.fold import UNKNOWN, Event, fold
from services.registry.memory import deadline
from services.registry.model import Device, Entry, Known
from services.registry.reference import acknowledge, fold_reference
from services.registry.step import Message, step
from services.registry.views import terms
from tests.support.registry.asking import (
    T0,
    add_tags,
    delete,
    disable,
    enable,
    idempotent,
    put,
    register,
    remove_tags,
    rotate,
    set_attributes,
    set_tags,
)
from tests.support.registry.hub import Hub, key_of
from tests.unit.runtime.lane.lab import Lab, Record, ends_anywhere_and_starts_again, said

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = b"p1/d1"
LAW = settings(max_examples=100, deadline=None)

TAGS = st.lists(st.sampled_from("abcd"), max_size=3).map(tuple)
VERSIONS = st.one_of(st.none(), st.integers(0, 40))
SECRETS = st.sampled_from(["first", "second", "third"])
REQUESTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda tags, secret: register(tags=tags, secret=secret), TAGS, SECRETS),
    st.builds(lambda version: delete(expected=version), VERSIONS),
    st.builds(lambda version: enable(expected=version), VERSIONS),
    st.builds(lambda version: disable(expected=version), VERSIONS),
    st.builds(
        lambda secret, grace, version: rotate(secret=secret, grace=grace, expected=version),
        SECRETS,
        st.sampled_from([0, 2000, 60_000]),
        VERSIONS,
    ),
    st.builds(lambda tags, version: set_tags(*tags, expected=version), TAGS, VERSIONS),
    st.builds(lambda tags, version: add_tags(*tags, expected=version), TAGS, VERSIONS),
    st.builds(lambda tags, version: remove_tags(*tags, expected=version), TAGS, VERSIONS),
    st.builds(lambda value: set_attributes({"x": value}), st.sampled_from([1, True, "1", None])),
)
LIVES = st.lists(st.tuples(REQUESTS, st.booleans(), st.sampled_from([0, 1, 1500, 3000])), min_size=1, max_size=25)

read_event: Decoder[Any] = Decoder(Event)


def begun() -> Hub:
    hub = Hub()
    hub.ask(put(expected=0))
    return hub


def subject(hub: Hub) -> Device | None:
    row = hub.row(KEY)
    return None if row is None else row.device


@given(life=LIVES)
@LAW
def test_a_refusal_leaves_the_very_row_and_every_change_raises_the_version_by_one(
    life: list[tuple[Any, bool, int]],
) -> None:
    hub = begun()
    for message, repeatable, pause in life:
        hub.time += pause
        row, device, events = hub.row(KEY), subject(hub), len(hub.events(KEY))
        answer = hub.ask(replace(message, idempotency=idempotent(f"k{events}", "f")) if repeatable else message)
        after = subject(hub)
        if isinstance(answer, RequestRefused):
            assert hub.row(KEY) is row
            assert len(hub.events(KEY)) == events
        elif device is not None and after is not None:
            assert after.version == device.version + len(hub.events(KEY)) - events
            assert after.tags_version == device.tags_version + (after.tags != device.tags)
        if pause:
            hub.tick(hub.time)
    versions = [event["version"] for event in hub.events(KEY)]
    assert versions == sorted(set(versions))


@given(life=LIVES)
@LAW
def test_a_request_that_is_met_again_with_its_key_changes_nothing(life: list[tuple[Any, bool, int]]) -> None:
    hub = begun()
    for number, (message, _, _) in enumerate(life):
        known = replace(message, idempotency=idempotent(f"k{number}", "f"))
        first = hub.ask(known)
        row, events = hub.row(KEY), hub.events(KEY)
        again = hub.ask(known)
        assert again.status == first.status
        assert hub.row(KEY) is row
        assert hub.events(KEY) == events


@given(life=LIVES)
@LAW
def test_the_public_log_makes_the_row_again_but_for_the_hashes(life: list[tuple[Any, bool, int]]) -> None:
    hub = begun()
    for message, _, pause in life:
        hub.time += pause
        hub.ask(message)
        if pause:
            hub.tick(hub.time)
    entry = UNKNOWN
    for key, value in hub.published.get(names.REGISTRY_EVENTS, []):
        if key == KEY:
            entry = fold(entry, read_event(value))
    assert hashless(entry.device) == hashless(subject(hub))


def hashless(device: Device | None) -> Device | None:
    if device is None:
        return None
    old = device.old_secret
    return replace(device, secret_hash="", old_secret=None if old is None else replace(old, hash=""))


@given(start=TAGS, some=TAGS, others=TAGS)
@LAW
def test_tags_are_a_set(start: tuple[str, ...], some: tuple[str, ...], others: tuple[str, ...]) -> None:
    hub = begun()
    hub.ask(register(tags=start))
    wanted = set(start)
    for message, change in (
        (add_tags(*some), wanted | {*some}),
        (remove_tags(*others), (wanted | {*some}) - {*others}),
        (set_tags(*others, *some), {*others, *some}),
    ):
        hub.ask(message)
        wanted = change
        device = subject(hub)
        assert device is not None
        assert device.tags == tuple(sorted(wanted))


# -- inside the real lane


def lab(changelog: Sequence[Record] = ()) -> Lab:
    decode: Decoder[Any] = Decoder(Message)
    parts: dict[str, Any] = {
        "decode": decode,
        "row": Entry,
        "step": lambda row, message, at, shared: step(row, message, at, shared, partitions=1),
        "shared": -1,
        "cell": Known,
        "fold_shared": fold_reference,
        "swept": acknowledge,
        "terms": terms,
        "deadline": deadline,
    }
    return Lab(changelog, **parts)


def records(messages: Sequence[Any]) -> list[Record]:
    return [Record(key_of(message), encode(message), offset, T0 + offset) for offset, message in enumerate(messages)]


@given(life=LIVES, random=st.randoms(use_true_random=False))
@LAW
def test_a_worker_that_starts_again_anywhere_ends_in_the_same_rows_by_the_same_outputs(
    life: list[tuple[Any, bool, int]], random: Any
) -> None:
    changed = ProductChanged("e", "p1", 1, ProductDefaults(), "tester", T0)
    messages: list[Any] = [changed]
    for number, (message, repeatable, pause) in enumerate(life):
        messages.append(replace(message, idempotency=idempotent(f"k{number % 4}", "f")) if repeatable else message)
        if pause:
            messages.append(msgspec.convert({"type": "time_passed", "partition": 0, "at": T0 + number * 1000}, Message))
    inbox = records(messages)
    assert inbox[0].key == BROADCAST_KEY
    whole, first, second = ends_anywhere_and_starts_again(lab, inbox, random)
    assert second.rows() == whole.rows()
    assert second.part.cells == whole.part.cells
    assert said(first, second) == said(whole)
    assert not whole.letters()
