"""The two laws of every state in the hub, and that the public log makes the rows again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestRefused, TimePassed
from libs.topics.messages.shadow import ShadowMessageReceived
from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged, ShadowChanged, ShadowChangeRefused
from services.shadow.fold import fold
from services.shadow.lives import deadline
from services.shadow.model import Entry, Head, Product
from services.shadow.reference import fold_reference, sum_up
from services.shadow.step import Broadcast, step
from services.shadow.views import terms
from tests.support.shadow.asking import (
    KEY,
    T0,
    acknowledge,
    aliyun,
    clear,
    delete,
    delete_device,
    idempotent,
    patch,
    patch_tagged,
    presence,
    product,
    pull,
    register,
    replace_desired,
    report,
    retag,
    status,
)
from tests.support.shadow.hub import Hub, decode
from tests.unit.runtime.lane.lab import Lab, Record, ends_anywhere_and_starts_again, said
from tests.unit.shadow.test_trees import PATCHES

if TYPE_CHECKING:
    from collections.abc import Sequence

LAW = settings(max_examples=80, deadline=None)

SHADOWS = st.sampled_from([None, None, "night"])
SESSIONS = st.sampled_from(["online", "offline", "unknown"])
IDS = st.uuids().map(lambda name: name.hex)
VERSIONS = st.one_of(st.none(), st.integers(0, 9))
REQUESTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda tree, shadow, version: patch(tree, shadow, expected=version), PATCHES, SHADOWS, VERSIONS),
    st.builds(replace_desired, PATCHES, SHADOWS),
    st.builds(clear, SHADOWS),
    st.builds(lambda shadow, version: delete(shadow, expected=version), SHADOWS, VERSIONS),
)
SAID: st.SearchStrategy[Any] = st.one_of(
    st.builds(report, PATCHES, IDS),
    st.builds(lambda tree, name: report(tree, name, shadow="night"), PATCHES, IDS),
    st.builds(lambda tree, name, version: report(tree, name, version=version), PATCHES, IDS, st.integers(0, 9)),
    st.builds(acknowledge, st.integers(0, 9), IDS),
    st.builds(
        lambda tree, version: aliyun({"method": "update", "state": {"reported": tree}, "version": version}),
        PATCHES,
        st.integers(-1, 9),
    ),
    st.builds(lambda: aliyun({"method": "update", "state": {"desired": None}, "version": -1})),
    st.builds(pull, SHADOWS),
    st.builds(lambda battery: status({"battery": battery}), st.integers(0, 2)),
    st.just(report(7)),
)
NEWS: st.SearchStrategy[Any] = st.one_of(
    st.builds(presence, SESSIONS, st.integers(1, 9)),
    st.builds(lambda version: delete_device(version=version), st.integers(2, 9)),
    st.builds(lambda version: register(version=version, tags=("line-3",)), st.integers(2, 9)),
    st.builds(lambda version: retag("line-3", version=version), st.integers(2, 9)),
    st.builds(lambda tree, version: product({"desired": tree}, version=version), PATCHES, st.integers(1, 3)),
    st.builds(patch_tagged, PATCHES),
    st.builds(lambda later: TimePassed(0, T0 + later), st.integers(0, 200_000)),
)
LIVES = st.lists(st.one_of(REQUESTS, SAID, NEWS), max_size=14)


def lived(messages: list[Any]) -> Hub:
    hub = Hub()
    for message in messages:
        hub.time += 7
        hub.write(message)
    return hub


@given(messages=st.lists(REQUESTS, min_size=1, max_size=14))
@LAW
def test_a_refusal_leaves_the_very_row_and_what_is_met_again_with_its_key_changes_nothing(messages: list[Any]) -> None:
    hub = Hub()
    for number, message in enumerate(messages):
        hub.time += 7
        row, documents, events = hub.row, hub.documents(), len(hub.events())
        known = msgspec.structs.replace(message, idempotency=idempotent(f"k{number}"))
        answer = hub.ask(known)
        if isinstance(answer, RequestRefused):
            assert (hub.row, hub.documents()) == (row, documents)
            known_document = row.document(message.shadow)
            version = row.floor if known_document is None else known_document.version
            assert {event.version for event in hub.events()[events:]} <= {version}
            continue
        row, documents, events = hub.row, hub.documents(), len(hub.events())
        again = hub.ask(known)
        assert (again.status, again.body) == (answer.status, answer.body)
        assert (hub.row, hub.documents(), len(hub.events())) == (row, documents, events)


@given(messages=LIVES, again=st.data())
@LAW
def test_what_is_delivered_again_at_once_changes_nothing(messages: list[Any], again: st.DataObject) -> None:
    """Of what has an identity: a request by its key, a report by its message id, the registry's and presence's events.

    The Aliyun form has none: there the proposed version refuses the second one, and what is unconditional sets
    equal values.
    """
    hub = Hub()
    for number, one in enumerate(messages):
        message = one
        if isinstance(one, ChangeDesired):
            message = msgspec.structs.replace(one, idempotency=idempotent(f"k{number}"))
        hub.write(message)
        unnamed = isinstance(message, ShadowMessageReceived | PatchTagged)
        if unnamed or not again.draw(st.booleans()):
            continue
        before = dict(hub.rows), hub.documents(), dict(hub.cells), accepted(hub)
        hub.write(message)
        assert (dict(hub.rows), hub.documents(), dict(hub.cells), accepted(hub)) == before


def accepted(hub: Hub) -> list[Any]:
    return [event for event in hub.events() if not isinstance(event, ShadowChangeRefused)]


@given(
    sources=st.tuples(
        st.lists(st.builds(patch, PATCHES), max_size=5),
        st.lists(st.one_of(st.builds(report, PATCHES, IDS), st.builds(lambda n: status({"n": n}), IDS)), max_size=5),
        st.lists(st.builds(presence, SESSIONS, st.integers(1, 99)), max_size=3),
        st.lists(st.builds(lambda n: retag("line-3", f"t{n}", version=n), st.integers(2, 9)), max_size=3),
    ),
    order=st.randoms(use_true_random=False),
)
@LAW
def test_any_order_that_keeps_each_source_s_own_ends_in_the_same_state(sources: Any, order: Any) -> None:
    def ended(messages: list[Any]) -> Any:
        row = lived(messages).row
        known = row.classic
        sections = None if known is None else (known.version, known.desired, known.reported, known.delta)
        return msgspec.to_builtins((sections, row.status, row.session, row.tags, row.registered))

    left = [list(source) for source in sources if source]
    mixed = []
    while left:
        source = order.choice(left)
        mixed.append(source.pop(0))
        left = [one for one in left if one]
    assert ended(mixed) == ended([message for source in sources for message in source])


@given(lives=st.lists(st.lists(st.one_of(REQUESTS, SAID), max_size=8), min_size=1, max_size=3))
@LAW
def test_the_public_log_makes_the_row_again(lives: list[list[Any]]) -> None:
    hub, earlier = Hub(), 0
    for number, messages in enumerate(lives):
        if number:
            hub.relive()
            earlier = len(hub.events())
        for message in messages:
            hub.time += 7
            hub.write(message)
    folded = Entry()
    for event in hub.events():
        after = fold(folded, event)
        assert fold(after, event) == after
        folded = after
    row = hub.row
    assert (folded.classic, folded.named) == (row.classic, row.named)
    if any(isinstance(event, ShadowChanged) for event in hub.events()[earlier:]):
        assert folded.floor == row.floor
    if row.status is not None:  # that of a life that ended is the registry's to end
        assert folded.status is not None
        assert folded.status.status == row.status.status
    assert hub.documents().keys() == {
        *([KEY] if row.classic is not None else []),
        *[KEY + b"/" + name.encode() for name in row.named],
    }


def lab(changelog: Sequence[Record] = ()) -> Lab:
    parts: dict[str, Any] = {
        "decode": decode,
        "row": Entry,
        "head": Head,
        "step": step,
        "shared": -1,
        "cell": Product,
        "fold_shared": fold_reference,
        "swept": sum_up,
        "terms": terms,
        "deadline": deadline,
    }
    return Lab(changelog, **parts)


@given(messages=LIVES, random=st.randoms(use_true_random=False))
@LAW
def test_a_worker_that_starts_again_anywhere_ends_in_the_same_rows_by_the_same_outputs(
    messages: list[Any], random: Any
) -> None:
    inbox = [
        Record(BROADCAST_KEY if isinstance(message, Broadcast) else KEY, encode(message), n, T0 + n * 7)
        for n, message in enumerate([register(tags=("line-3",)), *messages])
    ]
    whole, first, second = ends_anywhere_and_starts_again(lab, inbox, random)
    assert second.rows() == whole.rows()
    assert second.part.cells == whole.part.cells
    assert said(first, second) == said(whole)
    assert not whole.letters()
