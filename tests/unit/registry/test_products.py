"""Products: taken by every partition before they are answered, and deleted only without devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.topics import names
from libs.topics.codec import encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.registry import AclRule, ProductDefaults
from libs.topics.messages.registry_events import ProductChanged
from services.registry.products import WAITERS
from tests.support.registry.asking import (
    DYNAMIC,
    T0,
    credential,
    delete,
    delete_product,
    idempotent,
    put,
    register,
)
from tests.support.registry.hub import Hub

if TYPE_CHECKING:
    from services.registry.decide import Asked

KEY = b"p1"
PARTITIONS = 3


@pytest.fixture
def hub() -> Hub:
    return Hub(PARTITIONS)


def body(answer: RequestAnswered | RequestRefused) -> Any:
    assert isinstance(answer, RequestAnswered), answer
    return msgspec.json.decode(answer.body)


def refusal(answer: RequestAnswered | RequestRefused) -> tuple[int, str]:
    assert isinstance(answer, RequestRefused), answer
    return answer.status, answer.code


def asked(hub: Hub, message: Asked) -> str:
    """Let the home partition take a request, and nobody anything else."""
    correlation = hub.send(message)
    home = hub.home(KEY)
    while hub.behind(home):
        hub.fold(home)
    return correlation


def taken(hub: Hub, number: int) -> None:
    """Let one partition take what was broadcast into it."""
    way = (hub.home(KEY), number)
    while hub.links.get(way):
        hub.deliver(way)
    while hub.behind(number):
        hub.fold(number)


def told(hub: Hub, number: int) -> None:
    """Let the home partition hear what one partition tells."""
    home = hub.home(KEY)
    while hub.links.get((number, home)):
        hub.deliver((number, home))
    while hub.behind(home):
        hub.fold(home)


def test_a_product_is_answered_when_the_last_partition_has_told_that_it_has_taken_it(hub: Hub) -> None:
    correlation = asked(hub, put(expected=0))
    for number in range(PARTITIONS):
        assert correlation not in hub.answers
        taken(hub, number)
    for number in range(PARTITIONS):
        assert correlation not in hub.answers
        told(hub, number)
    (answer,) = hub.answers[correlation]
    assert (answer.status, body(answer)["version"]) == (201, answer.version)
    row = hub.row(KEY)
    assert row is not None
    assert row.spread is None


def test_a_device_registers_in_any_partition_as_soon_as_the_product_is_answered(hub: Hub) -> None:
    hub.ask(put(expected=0))
    for number in range(30):
        assert hub.ask(register(f"d{number}")).status == 201
    assert all(part.rows for part in hub.parts)


def test_the_event_is_a_broadcast_in_every_inbox_that_follows_and_keyed_in_the_log(hub: Hub) -> None:
    hub.ask(put())
    assert [key for key, _ in hub.published[names.REGISTRY_EVENTS]] == [KEY]
    for inbox in (names.SHADOW_INBOX, names.COMMANDS_INBOX, names.OTA_INBOX):
        assert [key for key, _ in hub.published[inbox]] == [BROADCAST_KEY] * PARTITIONS
        assert len({value for _, value in hub.published[inbox]}) == 1


def test_a_secret_stays_until_another_one_is_put_and_no_event_or_answer_shows_it(hub: Hub) -> None:
    hub.ask(put(secret="one"))
    answer = hub.ask(put(defaults=DYNAMIC))
    assert body(answer)["credential_id"] == "one"
    document = msgspec.json.decode(hub.documents[names.REGISTRY_PRODUCTS, KEY])
    assert (document["credential_id"], document["secret_hash"]) == ("one", credential("one").hash)
    assert not any(b"$7$" in value for _, value in hub.published[names.REGISTRY_EVENTS])
    assert b"$7$" not in encode(body(answer))


def test_what_is_so_already_makes_no_version(hub: Hub) -> None:
    first = hub.ask(put(secret="one"))
    again = hub.ask(put(secret="one"))
    assert (again.status, body(again)) == (200, body(first))
    assert len(hub.events(KEY)) == 1


def test_an_expected_version_guards_a_product(hub: Hub) -> None:
    assert refusal(hub.ask(put(expected=5))) == (404, "unknown_product")
    version = body(hub.ask(put(expected=0)))["version"]
    assert refusal(hub.ask(put(expected=0))) == (409, "product_exists")
    assert refusal(hub.ask(put(defaults=DYNAMIC, expected=version + 1))) == (409, "version_conflict")
    assert refusal(hub.ask(delete_product(expected=version + 1))) == (409, "version_conflict")
    assert body(hub.ask(put(defaults=DYNAMIC, expected=version)))["version"] == version + 1


def test_several_who_ask_at_once_are_each_answered_when_their_version_is_everywhere(hub: Hub) -> None:
    first = asked(hub, put(expected=0))
    second = asked(hub, put(defaults=DYNAMIC))
    home, others = hub.home(KEY), [number for number in range(PARTITIONS) if number != hub.home(KEY)]
    for number in (home, *others[:-1]):
        taken(hub, number)
        told(hub, number)
    slow = others[-1]
    hub.deliver((home, slow))  # the first version alone
    hub.fold(slow)
    told(hub, slow)
    assert [answer.status for answer in hub.answers[first]] == [201]
    assert second not in hub.answers
    hub.settle()
    assert [answer.status for answer in hub.answers[second]] == [200]


def test_a_product_without_devices_goes_with_its_document(hub: Hub) -> None:
    hub.ask(put(expected=0))
    answer = hub.ask(delete_product())
    assert (answer.status, body(answer)) == (204, None)
    assert (names.REGISTRY_PRODUCTS, KEY) not in hub.documents
    assert hub.row(KEY) is None
    assert [event["type"] for event in hub.events(KEY)] == ["product_changed", "product_deleted"]
    assert refusal(hub.ask(register())) == (404, "unknown_product")
    assert refusal(hub.ask(delete_product())) == (404, "unknown_product")


def test_a_product_with_devices_is_open_again_in_every_partition_when_its_deletion_is_refused(hub: Hub) -> None:
    hub.ask(put(expected=0))
    for number in range(6):
        hub.ask(register(f"d{number}"))
    answer = hub.ask(delete_product())
    assert refusal(answer) == (409, "product_has_devices")
    assert isinstance(answer, RequestRefused)
    assert "6 devices" in answer.detail
    for number in range(6, 12):
        assert hub.ask(register(f"d{number}")).status == 201
    for number in range(12):
        hub.ask(delete(f"d{number}"))
    assert hub.ask(delete_product()).status == 204


def test_while_a_product_closes_nothing_registers_and_nobody_changes_it(hub: Hub) -> None:
    hub.ask(put(expected=0))
    correlation = asked(hub, delete_product())
    for number in range(PARTITIONS):
        taken(hub, number)
    other = asked(hub, put(defaults=DYNAMIC))
    assert refusal(hub.answers[other][0]) == (409, "product_closing")
    registered = [hub.send(register(f"d{number}")) for number in range(10)]
    for number in range(PARTITIONS):
        while hub.behind(number):
            hub.fold(number)
    assert {refusal(hub.answers[one][0]) for one in registered} == {(409, "product_closing")}
    hub.settle()
    assert hub.answers[correlation][0].status == 204


def test_two_who_delete_are_both_answered_by_one_deletion(hub: Hub) -> None:
    hub.ask(put(expected=0))
    correlations = [asked(hub, delete_product()) for _ in range(2)]
    hub.settle()
    assert [hub.answers[one][0].status for one in correlations] == [204, 204]
    assert len(hub.events(KEY)) == 2


def test_a_product_that_is_made_anew_has_a_greater_version_and_what_comes_late_does_not_bring_the_old_one_back(
    hub: Hub,
) -> None:
    version = body(hub.ask(put(expected=0)))["version"]
    hub.ask(delete_product())
    deleted = hub.events(KEY)[-1]["version"]
    late = msgspec.json.decode(hub.published[names.REGISTRY_EVENTS][0][1])
    for number in range(PARTITIONS):
        hub.write(msgspec.convert(late, ProductChanged), partition=number)
    hub.settle()
    assert refusal(hub.ask(register())) == (404, "unknown_product")
    assert body(hub.ask(put(expected=0)))["version"] > deleted > version


def test_only_so_many_may_wait_for_one_product(hub: Hub) -> None:
    for number in range(WAITERS):
        asked(hub, put(defaults=ProductDefaults(command_ttl=number + 1)))
    assert refusal(hub.answers[asked(hub, put())][0]) == (429, "product_busy")
    hub.settle()
    assert hub.ask(put()).status == 200
    assert all(len(answers) == 1 for answers in hub.answers.values())


def test_a_request_that_is_repeated_with_its_key_waits_as_the_first_one_does(hub: Hub) -> None:
    first = asked(hub, put(expected=0, idempotency=idempotent()))
    second = asked(hub, put(expected=0, idempotency=idempotent()))
    assert not hub.answers
    hub.settle()
    assert [hub.answers[one][0].status for one in (first, second)] == [201, 201]
    assert len(hub.events(KEY)) == 1
    assert hub.ask(put(expected=0, idempotency=idempotent())).status == 201
    assert refusal(hub.ask(put(idempotency=idempotent("k1", "other")))) == (422, "idempotency_key_reused")


def test_a_deletion_that_nobody_waited_for_is_remembered_too(hub: Hub) -> None:
    hub.ask(put(expected=0))
    hub.write(delete_product(idempotency=idempotent()))
    hub.settle()
    assert hub.ask(delete_product(idempotency=idempotent())).status == 204
    hub.tick(T0 + 26 * 3_600_000)
    assert hub.row(KEY) is None
    assert refusal(hub.ask(delete_product(idempotency=idempotent()))) == (404, "unknown_product")


@pytest.mark.parametrize(
    ("defaults", "wanted"),
    [
        (ProductDefaults(shadow_template={"desired": {"x": "y" * 40_000}}), (413, "template_too_large")),
        (ProductDefaults(shadow_template={"desired": {"x": 2**64}}), (400, "invalid_request")),
        (ProductDefaults(command_ttl=0), (400, "invalid_request")),
        (ProductDefaults(probe_interval=59_999), (400, "invalid_request")),
        (ProductDefaults(acl=(AclRule("publish", "#"),)), (400, "invalid_request")),
        (ProductDefaults(acl=(AclRule("publish", "a/{product}/b\nuser eve"),)), (400, "invalid_request")),
        (ProductDefaults(acl=(AclRule("publish", "a/{product}/" + "b" * 600),)), (400, "invalid_request")),
        (ProductDefaults(acl=(AclRule("publish", "a/{product}"),) * 33), (400, "invalid_request")),
    ],
    ids=["template", "integer", "ttl", "probes", "everything", "newline", "long", "many"],
)
def test_defaults_that_no_service_or_broker_could_hold_are_refused(
    hub: Hub, defaults: ProductDefaults, wanted: tuple[int, str]
) -> None:
    assert refusal(hub.ask(put(defaults=defaults))) == wanted
    assert hub.row(KEY) is None
