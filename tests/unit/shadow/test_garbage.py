"""Whatever a device sends on the topics of its shadow, it is answered as its dialect defines, and nothing breaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.shadow.asking import patch, presence
from tests.support.shadow.heard import LARGEST, heard
from tests.support.shadow.hub import Hub, published
from tests.support.shadow.payloads import payloads

if TYPE_CHECKING:
    from libs.shadow.document import Document

PULLED, REPORTED, UPDATED = (
    "get/p1/d1/$shadow/m{}",
    "upload_data/p1/d1/$shadow_reported/m{}",
    "upload_data/p1/d1/$shadow_updated/m{}",
)
ANSWERED_ON = {"/shadow/p1/d1/update": "/shadow/p1/d1/get", "/shadow/update/p1/d1": "/shadow/get/p1/d1"}
COMMANDS = {"$update_shadow", "$shadow_reply", "$update_named_shadow", "$named_shadow_reply"}
TOPICS = (PULLED, REPORTED, UPDATED, *ANSWERED_ON)


def answer(hub: Hub, topic: str, payload: bytes) -> tuple[str, Any]:
    """Where the one answer to a message goes, and what it is."""
    (told,) = published(hub.write(heard(topic, payload)))
    return told.topic, msgspec.json.decode(told.payload)


def shadows(hub: Hub) -> dict[str | None, Document | None]:
    known: dict[str | None, Document | None] = {None: hub.row.classic}
    return known | hub.row.named


@given(st.lists(st.tuples(st.sampled_from(TOPICS), payloads(("get", "update", "delete"))), max_size=8))
def test_every_message_has_one_answer_and_a_refusal_changes_nothing(messages: list[tuple[str, bytes]]) -> None:
    hub = Hub()
    hub.write(presence("online"))
    hub.write(patch({"a": 1, "color": {"b": [1]}}))
    for number, (topic, payload) in enumerate(messages):
        before = shadows(hub)
        where, told = answer(hub, topic.format(number), payload)
        after = shadows(hub)
        if topic in ANSWERED_ON:
            assert where == ANSWERED_ON[topic]
            accepted = told["payload"]["status"] == "success" and "version" in told["payload"]
        else:
            assert where.split("/")[3] in COMMANDS
            accepted = told.get("status") == "success"
        changed = {name for name in after if after[name] != before.get(name)}
        assert len(changed) == accepted
        for name in changed:
            known, made = before.get(name), after[name]
            assert made is not None
            assert made.version == 1 + (known.version if known is not None else 0)


HUGE = json.dumps("x" * (LARGEST - 200))


@pytest.mark.parametrize("reported", [f'{{"a": {HUGE}}}', f"{{{HUGE}: 1}}", f'{{"a": [{"0," * 100_000}0]}}'])
def test_a_huge_message_is_refused_by_its_limit(reported: str) -> None:
    hub = Hub()
    _, told = answer(hub, REPORTED.format(1), b'{"state": {"reported": %s}, "version": 0}' % reported.encode())
    assert told["status"] == "document_too_large"
    said = b'{"method": "update", "state": {"reported": %s}}' % reported.encode()
    _, told = answer(hub, "/shadow/p1/d1/update", said)
    assert told["payload"]["content"]["errorcode"] == "408"
    assert told["payload"]["content"]["errormessage"].startswith("document_too_large: ")
    assert hub.row.classic is None


@pytest.mark.parametrize(
    ("levels", "code"), [(9, "document_too_deep"), (62, "document_too_deep"), (63, "invalid_json")]
)
def test_nesting_is_refused_by_the_first_that_minds_it(levels: int, code: str) -> None:
    hub = Hub()
    deep = '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)
    _, told = answer(hub, REPORTED.format(1), f'{{"state":{{"reported":{deep}}},"version":0}}'.encode())
    assert told["status"] == code
