"""What may be asked about a device, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.topics import names
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from tests.support.registry.asking import (
    DYNAMIC,
    T0,
    add_tags,
    credential,
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
from tests.support.registry.hub import Hub

if TYPE_CHECKING:
    from services.registry.decide import Asked

KEY = b"p1/d1"
SECOND = 1000


@pytest.fixture
def hub() -> Hub:
    made = Hub()
    assert status(made.ask(put(expected=0))) == 201
    return made


def status(answer: RequestAnswered | RequestRefused) -> int:
    return answer.status


def body(answer: RequestAnswered | RequestRefused) -> Any:
    assert isinstance(answer, RequestAnswered), answer
    return msgspec.json.decode(answer.body)


def refusal(answer: RequestAnswered | RequestRefused) -> tuple[int, str]:
    assert isinstance(answer, RequestRefused), answer
    assert answer.detail
    assert answer.advice
    return answer.status, answer.code


def kinds(hub: Hub) -> list[str]:
    return [event["type"] for event in hub.events(KEY)]


def document(hub: Hub) -> Any:
    return msgspec.json.decode(hub.documents[names.REGISTRY_DEVICES, KEY])


def test_a_registration_is_an_event_a_document_and_an_answer_that_hold_its_tags_in_order(hub: Hub) -> None:
    answer = hub.ask(register(tags=("b", "a", "b"), attributes={"serial": 7}))
    shown = body(answer)
    assert (answer.status, shown["tags"], shown["attributes"], shown["enabled"]) == (
        201,
        ["a", "b"],
        {"serial": 7},
        True,
    )
    (event,) = hub.events(KEY)
    assert (event["type"], event["tags"], event["credential_id"]) == ("device_registered", ["a", "b"], "first")
    assert document(hub)["secret_hash"] == credential().hash
    assert isinstance(answer, RequestAnswered)
    assert answer.version == shown["version"] == event["version"] == document(hub)["version"]


def test_the_event_reaches_all_who_follow_and_no_hash_leaves_but_in_the_documents(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(rotate(grace=SECOND))
    for topic in (names.REGISTRY_EVENTS, names.SHADOW_INBOX, names.COMMANDS_INBOX, names.OTA_INBOX):
        said = [value for key, value in hub.published[topic] if key == KEY]
        assert len(said) == 2
        assert not any(b"$7$" in value for value in said)
    for answers in hub.answers.values():
        assert not any(b"$7$" in bytes(answer.body) for answer in answers)


def test_a_product_that_there_is_not_has_no_devices(hub: Hub) -> None:
    assert refusal(hub.ask(register(product="p2"))) == (404, "unknown_product")
    assert hub.row(b"p2/d1") is None


def test_a_device_that_exists_is_registered_again_only_by_its_present_credential(hub: Hub) -> None:
    first = hub.ask(register())
    again = hub.ask(register(tags=("other",)))
    assert (again.status, body(again)) == (201, body(first))
    other = hub.ask(register(secret="other"))
    assert refusal(other) == (409, "device_exists")
    hub.ask(rotate(secret="second"))
    assert refusal(hub.ask(register())) == (409, "device_exists")
    assert kinds(hub) == ["device_registered", "secret_rotated"]


def test_devices_register_themselves_where_their_product_says_so(hub: Hub) -> None:
    assert refusal(hub.ask(register(origin="first_contact"))) == (403, "dynamic_registration_off")
    hub.ask(put(defaults=DYNAMIC))
    assert status(hub.ask(register(origin="first_contact"))) == 201
    answer = hub.ask(register(origin="first_contact", secret="other"))
    assert refusal(answer) == (409, "device_exists")
    assert isinstance(answer, RequestRefused)
    assert "otate" in answer.advice


@pytest.mark.parametrize(
    "message",
    [
        delete(),
        enable(),
        disable(),
        rotate(),
        set_tags("a"),
        add_tags("a"),
        remove_tags("a"),
        set_attributes({}),
    ],
    ids=lambda message: type(message).__name__,
)
def test_of_a_device_that_is_not_registered_nothing_can_be_asked(hub: Hub, message: Asked) -> None:
    assert refusal(hub.ask(message)) == (404, "unknown_device")
    assert hub.row(KEY) is None
    assert hub.events(KEY) == []


@pytest.mark.parametrize(
    "message",
    [
        delete(expected=1),
        enable(expected=1),
        disable(expected=1),
        rotate(expected=1),
        set_attributes({"a": 1}, expected=1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_request_that_expects_another_version_is_told_the_present_document(hub: Hub, message: Asked) -> None:
    shown = body(hub.ask(register()))
    answer = hub.ask(message)
    assert refusal(answer) == (409, "version_conflict")
    assert isinstance(answer, RequestRefused)
    assert msgspec.json.decode(answer.current) == shown
    assert kinds(hub) == ["device_registered"]


def test_tags_have_a_version_of_their_own(hub: Hub) -> None:
    shown = body(hub.ask(register(tags=("a",))))
    hub.ask(disable())
    answer = hub.ask(set_tags("b", expected=shown["tags_version"]))
    assert body(answer) == {"tags": ["b"], "tags_version": shown["tags_version"] + 1}
    assert isinstance(answer, RequestAnswered)
    assert answer.version == shown["tags_version"] + 1
    conflict = hub.ask(add_tags("c", expected=shown["tags_version"]))
    assert refusal(conflict) == (409, "version_conflict")
    assert isinstance(conflict, RequestRefused)
    assert msgspec.json.decode(conflict.current) == body(answer)


def test_what_is_so_already_is_answered_and_happens_not_again(hub: Hub) -> None:
    hub.ask(register(tags=("a",), attributes={"x": 1}))
    before = hub.row(KEY)
    for message in (enable(), set_tags("a"), add_tags("a"), remove_tags("b"), set_attributes({"x": 1})):
        assert status(hub.ask(message)) == 200
        assert hub.row(KEY) is before
    hub.ask(disable())
    assert status(hub.ask(disable())) == 200
    assert kinds(hub) == ["device_registered", "device_disabled"]


@pytest.mark.parametrize("other", [{"x": True}, {"x": 1.0}, {"x": "1"}], ids=str)
def test_json_that_python_takes_for_equal_is_another(hub: Hub, other: dict[str, Any]) -> None:
    hub.ask(register(attributes={"x": 1}))
    assert body(hub.ask(set_attributes(other)))["attributes"] == other
    assert kinds(hub)[-1] == "attributes_changed"


def test_a_secret_that_is_rotated_at_once_leaves_nothing_of_the_old_one(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(rotate())
    assert (document(hub)["secret_hash"], document(hub)["old_secret"]) == (credential("second").hash, None)
    assert hub.events(KEY)[-1]["old_valid_until"] is None


def test_an_old_secret_is_valid_until_a_tick_ends_its_grace(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(rotate(grace=10 * SECOND))
    until = T0 + 10 * SECOND
    assert document(hub)["old_secret"] == {"hash": credential().hash, "valid_until": until}
    assert hub.events(KEY)[-1]["old_valid_until"] == until
    hub.tick(until - 1)
    assert document(hub)["old_secret"] is not None
    hub.tick(until)
    assert document(hub)["old_secret"] is None
    assert kinds(hub) == ["device_registered", "secret_rotated", "old_secret_expired"]
    assert document(hub)["version"] == hub.events(KEY)[-1]["version"]
    hub.tick(until + SECOND)
    assert len(hub.events(KEY)) == 3


def test_a_rotation_within_the_grace_of_another_forgets_the_oldest_secret(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(rotate(secret="second", grace=10 * SECOND))
    hub.ask(rotate(secret="third", grace=10 * SECOND))
    assert document(hub)["old_secret"]["hash"] == credential("second").hash


def test_a_rotation_is_answered_again_with_its_own_credential_whatever_version_it_expected(hub: Hub) -> None:
    version = body(hub.ask(register()))["version"]
    first = hub.ask(rotate(expected=version))
    again = hub.ask(rotate(expected=version))
    assert (again.status, body(again)) == (200, body(first))
    assert kinds(hub) == ["device_registered", "secret_rotated"]


def test_a_deleted_device_leaves_no_document_and_no_row(hub: Hub) -> None:
    hub.ask(register())
    answer = hub.ask(delete())
    assert (answer.status, body(answer)) == (204, None)
    assert (names.REGISTRY_DEVICES, KEY) not in hub.documents
    assert hub.row(KEY) is None


def test_a_device_that_is_registered_anew_has_greater_versions_than_it_ever_had(hub: Hub) -> None:
    hub.ask(register(tags=("a",)))
    for number in range(5):
        hub.ask(set_tags(f"t{number}"))
    hub.ask(delete())
    last = hub.events(KEY)[-1]["version"]
    shown = body(hub.ask(register()))
    assert shown["version"] > last
    assert shown["tags_version"] > last


# -- idempotency


def test_a_request_that_is_repeated_with_its_key_is_answered_as_the_first_time_and_does_nothing(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(disable(idempotency=idempotent("k1")))
    hub.ask(enable())
    before = hub.row(KEY)
    answer = hub.ask(disable(idempotency=idempotent("k1")))
    assert status(answer) == 200
    assert body(answer)["enabled"], "the document is the present one"
    assert hub.row(KEY) is before


def test_a_key_that_is_used_for_another_request_is_refused(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(disable(idempotency=idempotent("k1", "one")))
    assert refusal(hub.ask(enable(idempotency=idempotent("k1", "two")))) == (422, "idempotency_key_reused")


def test_a_refusal_is_not_remembered(hub: Hub) -> None:
    assert refusal(hub.ask(disable(idempotency=idempotent()))) == (404, "unknown_device")
    hub.ask(register())
    assert status(hub.ask(disable(idempotency=idempotent()))) == 200


def test_a_deletion_that_is_repeated_with_its_key_spares_the_device_that_came_after_it(hub: Hub) -> None:
    hub.ask(register())
    hub.ask(delete(idempotency=idempotent()))
    assert status(hub.ask(delete(idempotency=idempotent()))) == 204
    hub.ask(register())
    assert status(hub.ask(delete(idempotency=idempotent()))) == 204
    assert hub.row(KEY) is not None
    assert kinds(hub) == ["device_registered", "device_deleted", "device_registered"]


def test_a_registration_that_is_repeated_after_the_deletion_brings_nothing_back(hub: Hub) -> None:
    hub.ask(register(idempotency=idempotent("k1")))
    hub.ask(delete(idempotency=idempotent("k2")))
    assert refusal(hub.ask(register(idempotency=idempotent("k1")))) == (404, "unknown_device")
    assert status(hub.ask(register(idempotency=idempotent("k3")))) == 201
