"""A patch of all devices of a tag: each partition says what came of it for its own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from libs.runtime.lane.verdicts import Misplaced, Unfit
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.hub import RequestAnswered
from libs.topics.messages.shadow_changes import TaggedPatchApplied
from tests.support.shadow.asking import patch, patch_tagged, presence, pull, register
from tests.support.shadow.hub import Hub, published

applied: Decoder[TaggedPatchApplied] = Decoder(TaggedPatchApplied)


def tagged_hub() -> Hub:
    hub = Hub(registered=False)
    for number in range(6):
        hub.write(register(f"d{number}", tags=("line-3",) if number < 4 else ("line-4",)))
    return hub


def result(said: Any) -> TaggedPatchApplied:
    (found,) = [applied(value) for topic, key, value, _ in said if (topic, key) == (names.SHADOW_EVENTS, b"patch")]
    return found


def test_each_device_of_the_tag_is_changed_and_counted() -> None:
    hub = tagged_hub()
    found = result(hub.write(patch_tagged({"a": 1})))
    assert (found.matched, found.changed, found.refused, found.partition) == (4, 4, 0, 0)
    changed = {key: row.classic.desired for key, row in hub.rows.items() if row.classic is not None}
    assert changed == {f"p1/d{number}".encode(): {"a": 1} for number in range(4)}
    for number in range(4):
        (event,) = hub.events(f"p1/d{number}".encode())
        assert (event.via, event.by, event.patch_id) == ("tag", "tester", "patch")


def test_a_device_that_cannot_take_it_is_counted_as_refused() -> None:
    hub = tagged_hub()
    for number in range(10):
        hub.write(patch({"a": 1}, f"n{number}", device="d2"))
    found = result(hub.write(patch_tagged({"a": 1}, shadow="night")))
    assert (found.matched, found.changed, found.refused) == (4, 3, 1)
    refused = hub.events(b"p1/d2")[-1]
    assert (refused.code, refused.patch_id, refused.via) == ("too_many_shadows", "patch", "tag")


def test_who_asked_is_answered_with_the_counts() -> None:
    hub = tagged_hub()
    answer = hub.ask(patch_tagged({"a": 1}))
    assert isinstance(answer, RequestAnswered)
    shown = msgspec.json.decode(answer.body, type=TaggedPatchApplied)
    assert (answer.status, shown.matched, shown.changed) == (200, 4, 4)


def test_devices_that_are_online_are_told() -> None:
    hub = tagged_hub()
    hub.write(pull())
    hub.write(presence("online"))
    (told,) = published(hub.write(patch_tagged({"a": 1})))
    assert told.device_id == "d1"


def test_nobody_carries_the_tag() -> None:
    found = result(tagged_hub().write(patch_tagged({"a": 1}, tag="line-9")))
    assert (found.matched, found.changed, found.refused) == (0, 0, 0)


def test_what_is_no_patch_for_this_partition_is_a_dead_letter() -> None:
    hub = tagged_hub()
    with pytest.raises(Misplaced):
        hub.write(replace(patch_tagged({"a": 1}), partition=3))
    for unfit in (patch_tagged({"a": 2**64}), patch_tagged({"a": 1}, shadow="no/name")):
        with pytest.raises(Unfit):
            hub.write(unfit)
