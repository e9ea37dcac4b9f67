"""What applications ask, and what comes of it."""

from __future__ import annotations

from copy import copy
from typing import Any

import msgspec
import pytest

from libs.runtime.lane.verdicts import Misplaced, Unfit
from libs.shadow.document import CHECKPOINT
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.shadow_changes import ShadowDocument
from services.shadow.limits import EVENT, LEVELS, NAMED, STATE
from tests.support.shadow.asking import clear, delete, idempotent, patch, replace_desired, report
from tests.support.shadow.hub import Hub


def body(answer: RequestAnswered) -> Any:
    return msgspec.json.decode(answer.body)


def asked(hub: Hub, message: Any) -> ShadowDocument:
    """Ask, and return the document that is answered."""
    answer = hub.ask(message)
    assert isinstance(answer, RequestAnswered)
    shown = msgspec.json.decode(answer.body, type=ShadowDocument)
    assert (answer.status, answer.version) == (200, shown.version)
    return shown


def refused(hub: Hub, message: Any) -> RequestRefused:
    before = dict(hub.rows), hub.documents()
    answer = hub.ask(message)
    assert isinstance(answer, RequestRefused)
    assert (dict(hub.rows), hub.documents()) == before, "a refusal leaves everything as it was"
    return answer


@pytest.mark.parametrize("shadow", [None, "night"])
def test_a_patch_is_merged_and_answered_with_the_document(shadow: str | None) -> None:
    hub = Hub()
    first = asked(hub, patch({"color": "green", "motor": {"rpm": 5}}, shadow))
    second = asked(hub, patch({"color": None, "motor": {"on": True}}, shadow))
    assert (first.version, second.version, second.desired_version, second.reported_version) == (1, 2, 2, 0)
    assert second.state.desired == {"motor": {"rpm": 5, "on": True}}
    assert second.shadow == shadow
    key = b"p1/d1" if shadow is None else b"p1/d1/night"
    assert hub.documents() == {key: second}
    assert [(event.cause, event.via, event.by, event.version) for event in hub.events()] == [
        ("desired_changed", "api", "tester", 1),
        ("desired_changed", "api", "tester", 2),
    ]


def test_replacing_keeps_nothing_and_clearing_empties() -> None:
    hub = Hub()
    asked(hub, patch({"a": 1, "b": {"c": 2}}))
    assert asked(hub, replace_desired({"b": {"d": 3}, "x": None})).state.desired == {"b": {"d": 3}}
    cleared = asked(hub, clear())
    assert (cleared.state.desired, cleared.version) == ({}, 3)
    assert [event.cleared for event in hub.events()] == [(), ("desired",), ("desired",)]


def test_equal_values_are_a_change_and_an_empty_patch_is_none() -> None:
    hub = Hub()
    assert asked(hub, patch({})).version == 0
    asked(hub, patch({"a": 1}))
    assert asked(hub, patch({"a": 1})).version == 2
    row = hub.row
    assert asked(hub, patch({})).version == 2
    assert hub.row == row
    assert len(hub.events()) == 2


def test_an_expected_version_guards_every_operation() -> None:
    hub = Hub()
    asked(hub, patch({"a": 1}, expected=0))
    for message in (patch({"a": 2}, expected=0), clear(expected=2), delete(expected=0), patch({}, expected=7)):
        answer = refused(hub, message)
        assert (answer.status, answer.code) == (409, "version_conflict")
        current = msgspec.json.decode(answer.current, type=ShadowDocument)
        assert (current.version, current.state.desired) == (1, {"a": 1})
    told = [(event.code, event.given_version, event.version) for event in hub.events()[1:]]
    assert told == [("version_conflict", given, 1) for given in (0, 2, 0, 7)]
    assert asked(hub, replace_desired({"a": 2}, expected=1)).version == 2


def test_a_deleted_shadow_begins_anew_above_its_last_version() -> None:
    hub = Hub()
    asked(hub, patch({"a": 1}))
    answer = hub.ask(delete())
    assert (answer.status, body(answer), answer.version) == (204, None, None)
    assert hub.documents() == {}
    assert [(event.cause, event.version, event.cleared) for event in hub.events()[1:]] == [
        ("deleted", 2, ("desired", "reported"))
    ]
    assert hub.ask(delete()).status == 204
    assert len(hub.events()) == 2, "there was nothing to delete"
    again = asked(hub, patch({"b": 1}, expected=2))
    assert (again.version, again.state.desired) == (3, {"b": 1})


def test_a_named_shadow_is_created_by_what_is_desired_of_it() -> None:
    hub = Hub()
    for message in (patch({}, "night"), clear("night"), delete("night")):
        assert refused(hub, message).code == "unknown_shadow"
    assert asked(hub, replace_desired({"a": 1}, "night")).version == 1
    hub.ask(delete("night"))
    assert refused(hub, patch({}, "night")).code == "unknown_shadow"
    assert asked(hub, patch({"a": 1}, "day")).version == 3, "versions go on from the device's greatest deleted one"
    assert hub.row.classic is None


def test_a_device_has_so_many_named_shadows() -> None:
    hub = Hub()
    for number in range(NAMED):
        asked(hub, patch({"a": 1}, f"n{number}"))
    answer = refused(hub, patch({"a": 1}, "one-more"))
    assert (answer.status, answer.code) == (409, "too_many_shadows")
    assert hub.events()[-1].code == "too_many_shadows"
    hub.ask(delete("n3"))
    asked(hub, patch({"a": 1}, "one-more"))


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 or level == levels - 1 else [value]
    return value


def test_a_section_is_so_deep() -> None:
    hub = Hub()
    asked(hub, patch(nested(LEVELS)))
    answer = refused(hub, patch(nested(LEVELS + 1)))
    assert (answer.status, answer.code) == (413, "document_too_deep")
    assert hub.events()[-1].code == "document_too_deep"


def test_a_state_is_so_large_without_its_metadata() -> None:
    hub = Hub()
    hub.write(report({"b": "y" * 10_000}))
    overhead = len(b'{"desired":{"a":""},"reported":{"b":""}}')
    asked(hub, patch({"a": "x" * (STATE - overhead - 10_000)}))
    answer = refused(hub, patch({"a": "x" * (STATE - overhead - 9_999)}))
    assert (answer.status, answer.code) == (413, "document_too_large")
    assert str(STATE + 1) in answer.detail
    many = {f"{number}": number for number in range(2000)}
    assert asked(hub, replace_desired(many)).state.desired == many, "metadata is much larger than that"


def test_all_shadows_of_a_device_have_a_limit_together() -> None:
    hub = Hub()
    key = "k" * 3000
    wide = {key: {f"{number}": {"a": number} for number in range(200)}}
    answer = hub.ask(patch(wide))
    assert isinstance(answer, RequestRefused)
    assert (answer.status, answer.code) == (413, "shadows_too_large"), "pending fields repeat the key"
    many = {f"{number}": number for number in range(2600)}
    statuses = [hub.ask(patch(many, f"n{number}")).status for number in range(NAMED)]
    assert statuses == [200] * statuses.count(200) + [413] * statuses.count(413)
    assert 2 <= statuses.count(200) < NAMED


@pytest.mark.parametrize("key", ["\x01" * 2400, "k" * 2200])
def test_no_document_is_too_large_for_the_event_that_carries_it_whole(key: str) -> None:
    """Else nothing could change it at that version any more, nor delete it."""
    hub = Hub()
    fields = 250
    while isinstance(hub.ask(patch({key: dict.fromkeys(map(str, range(fields)), 0)})), RequestRefused):
        fields -= 5
    assert fields > 20
    assert hub.events()[0].code == "shadows_too_large"
    while hub.classic.version < CHECKPOINT - 1:
        asked(hub, patch({"n": hub.classic.version}))
    for message in (report({key: dict.fromkeys(map(str, range(fields)), 0)}), clear(), delete()):
        other = copy(hub)
        other.rows, other.log = dict(hub.rows), []
        other.write(message)
        (event,) = other.events()
        assert (event.version, event.checkpoint is None) == (CHECKPOINT, False)
        assert max(len(value) for _, _, value in other.log if value) <= EVENT


def test_a_patch_that_is_too_large_for_an_event_is_refused() -> None:
    hub = Hub()
    answer = refused(hub, patch({f"{number:0100}": None for number in range(10_000)}))
    assert (answer.status, answer.code) == (413, "shadows_too_large")


def test_only_registered_devices_have_shadows() -> None:
    hub = Hub(registered=False)
    assert refused(hub, patch({"a": 1})).code == "unknown_device"
    hub.write(report({"a": 1}))
    assert refused(hub, patch({"a": 1})).code == "unknown_device"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (patch({"a": 1}, "no/name"), "invalid_shadow_name"),
        (patch(None), "invalid_request"),
        (replace_desired({"a": 2**64}), "invalid_request"),
    ],
)
def test_what_is_no_request_is_refused_or_a_dead_letter(message: Any, code: str) -> None:
    hub = Hub()
    answer = refused(hub, message)
    assert (answer.status, answer.code) == (400, code)
    with pytest.raises(Unfit):
        hub.write(message)


def test_a_request_under_another_key_is_a_dead_letter() -> None:
    with pytest.raises(Misplaced):
        Hub().write(patch({"a": 1}), key=b"p1/d2")
    with pytest.raises(Misplaced):
        Hub().write(report({"a": 1}), key=b"p1/d2")


@pytest.mark.parametrize("shadow", [None, "night"])
def test_a_repeated_request_is_answered_and_does_nothing(shadow: str | None) -> None:
    hub = Hub()
    first = patch({"a": 1}, shadow, idempotency=idempotent("k1"))
    asked(hub, first)
    asked(hub, patch({"a": 2}, shadow))
    row = hub.row
    assert asked(hub, first).version == 2, "the present document"
    assert hub.row == row
    assert refused(hub, patch({"a": 1}, shadow, idempotency=idempotent("k1", "other"))).code == "idempotency_key_reused"
    gone = delete(shadow, idempotency=idempotent("k2"))
    assert hub.ask(gone).status == 204
    events = len(hub.events())
    assert hub.ask(gone).status == 204
    assert len(hub.events()) == events
    if shadow is not None:
        assert refused(hub, first).code == "unknown_shadow"


def test_nobody_waits_and_nothing_is_answered() -> None:
    hub = Hub()
    said = hub.write(patch({"a": 1}))
    assert [topic for topic, *_ in said] == ["shadow.events", "shadow.documents"]
    said = hub.write(patch({"a": 1}, reply_to=ReplyTo(3, "c9")))
    assert [topic for topic, *_ in said] == ["shadow.events", "shadow.documents", "api.replies"]
