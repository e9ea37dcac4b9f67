"""The last status that a device reported."""

from __future__ import annotations

from typing import Any

import pytest

from services.shadow.app import MAX_ROW
from services.shadow.fold import fold
from services.shadow.limits import NAMED, STATUS
from services.shadow.model import Entry
from services.shadow.status import InvalidPayload
from tests.support.shadow.asking import T0, patch, status
from tests.support.shadow.hub import SERVICE, Hub


def test_a_change_is_an_event_and_the_same_again_is_only_newer() -> None:
    hub = Hub()
    hub.write(status({"app_ver": "1.0", "on": True}, "m1"))
    assert hub.write(status({"on": True, "app_ver": "1.0"}, "m2", T0 + 5)) == []
    assert hub.row.status is not None
    assert (hub.row.status.at, hub.row.status.message_id) == (T0 + 5, "m2")
    hub.write(status({"app_ver": "1.0", "on": 1}, "m3", T0 + 6))
    assert [(event.status["on"], event.message_id, event.at) for event in hub.events()] == [
        (True, "m1", T0),
        (1, "m3", T0 + 6),
    ]
    folded = Entry()
    for event in hub.events():
        folded = fold(folded, event)
    assert folded.status == hub.row.status


def test_the_same_record_again_changes_nothing() -> None:
    hub = Hub()
    hub.write(status({"a": 1}))
    row = hub.row
    hub.write(status({"a": 1}))
    assert hub.row == row


@pytest.mark.parametrize(
    "payload", [b"[1]", b"7", b"no json", b"", b'{"a":' + b"[" * 80 + b"]" * 80 + b"}", {"a": 2**64}]
)
def test_what_is_no_json_object_is_a_dead_letter(payload: Any) -> None:
    hub = Hub()
    with pytest.raises(InvalidPayload) as caught:
        hub.write(status(payload))
    assert caught.value.reason == "invalid_payload"
    assert hub.row.status is None


def test_a_status_leaves_room_for_all_that_shadows_may_take() -> None:
    hub = Hub()
    with pytest.raises(InvalidPayload):
        hub.write(status(b'{"a": [%s]}' % b",".join([b"1e5"] * 25_000)))
    assert hub.events() == [], "100 kB of JSON, but 225 kB in the row"
    hub.write(status({"a": "x" * (STATUS - 10)}))
    assert len(hub.events()) == 1
    wide = {f"{number}": number for number in range(2600)}
    answers = [hub.ask(patch(wide, f"n{number}")) for number in range(NAMED)]
    assert {answer.status for answer in answers} == {200, 413}, "as many as the shadows' own limit allows"
    assert MAX_ROW * 3 // 4 < len(SERVICE.codec.encode(hub.row)) < MAX_ROW
