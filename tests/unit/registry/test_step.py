"""What the step takes and refuses; the rules themselves are held by the tests of devices and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from msgspec.structs import replace

from libs.runtime.lane.memory import ANSWERS
from libs.runtime.lane.model import At, Due, Keys, Shared, Terms
from libs.runtime.lane.verdicts import Misplaced, Unfit
from libs.topics import names
from libs.topics.codec import Decoder, InvalidMessage
from libs.topics.examples import values
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.registry import Credential, ProductDefaults, ProductTaken
from libs.topics.messages.registry_events import ProductChanged, ProductClosing, ProductDeleted
from services.registry.checks import LEVELS, TAGS
from services.registry.decide import Asked
from services.registry.memory import forget, recalled, remember
from services.registry.model import Device, Entry, Known
from services.registry.reference import fold_reference
from services.registry.step import Message, step
from services.registry.views import listing, show_credentials, show_device, tally, terms
from tests.support.registry.asking import (
    T0,
    WHO,
    add_tags,
    credential,
    delete,
    idempotent,
    issue,
    put,
    register,
    reply,
    revoke,
    rotate,
    set_attributes,
    set_tags,
    tick,
)
from tests.support.registry.hub import Hub, key_of

if TYPE_CHECKING:
    from libs.topics.messages.base import Message as AnyMessage

NOTHING: Shared[int, Known] = Shared(-1, {})
decode: Decoder[Any] = Decoder(Message)


def at(key: bytes = b"p1/d1", offset: int = 42) -> At:
    return At(names.REGISTRY_INBOX, 3, offset, T0, key)


def hub_with_product() -> Hub:
    hub = Hub()
    hub.ask(put())
    return hub


@pytest.mark.parametrize("kind", get_args(Message), ids=lambda kind: kind.__name__)
def test_every_example_of_the_catalog_is_folded(kind: type[AnyMessage]) -> None:
    for value in values(kind).values():
        message, hub = decode(value), Hub(4)
        hub.write(message, partition=None if isinstance(message, Asked | ProductTaken) else 0)
        hub.settle()
        if isinstance(message, Asked) and message.reply_to is not None:
            ((answer,),) = hub.answers.values()
            assert isinstance(answer, RequestAnswered | RequestRefused)


@pytest.mark.parametrize("message", [register(), put(), delete(), issue(), revoke()], ids=lambda m: type(m).__name__)
def test_a_request_under_another_key_is_refused_where_somebody_waits_and_else_a_dead_letter(message: Any) -> None:
    with pytest.raises(Unfit, match="invalid_request"):
        step(None, message, at(b"p1/elsewhere"), NOTHING, partitions=1)
    hub = Hub()
    answer = hub.ask(message, key=b"p1/elsewhere")
    assert isinstance(answer, RequestRefused)
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a\nb", "a" * 65, "\u0430", "$register", "a b", "a\0"])
def test_what_is_no_name_is_no_device_product_or_tag(name: str) -> None:
    hub = hub_with_product()
    for message in (
        register(name),
        register("d1", name),
        put(name),
        set_tags(name),
        rotate(name),
        register(tags=(name,)),
    ):
        answer = hub.ask(message, key=b"p1/d1")
        assert isinstance(answer, RequestRefused)
        assert (answer.status, answer.code) == (400, "invalid_name")
        with pytest.raises(InvalidMessage):
            step(None, message, at(), NOTHING, partitions=1)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


def test_attributes_may_be_as_deep_as_every_reader_s_stack_allows() -> None:
    assert isinstance(hub_with_product().ask(register(attributes={"x": nested(LEVELS - 1)})), RequestAnswered)


@pytest.mark.parametrize("name", ["update", "get"])
def test_words_of_the_device_protocol_are_no_names(name: str) -> None:
    hub = hub_with_product()
    for message in (register(name), put(name)):
        answer = hub.ask(message)
        assert isinstance(answer, RequestRefused)
        assert (answer.status, answer.code) == (400, "reserved_name")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (register(tags=tuple(f"t{n}" for n in range(TAGS + 1))), "too_many_tags"),
        (register(attributes={"x": "y" * 17_000}), "attributes_too_large"),
        (register(attributes={"x": 2**64}), "invalid_request"),
        (register(attributes={"x": nested(LEVELS)}), "invalid_request"),
        (set_attributes({"x": nested(900)}), "invalid_request"),
        (put("deep", defaults=ProductDefaults(shadow_template={"x": nested(LEVELS)})), "invalid_request"),
        (replace(register(), credential=Credential("c", "$7$1$short$hash")), "invalid_request"),
        (replace(register(), credential=Credential("c", credential().hash + "\nroot:x")), "invalid_request"),
        (replace(register(), credential=Credential("a/b", credential().hash)), "invalid_name"),
        (rotate(grace=-1), "invalid_request"),
        (set_attributes({"x": "y" * 17_000}), "attributes_too_large"),
        (replace(issue(), hash="none"), "invalid_request"),
        (replace(issue(), scopes=()), "invalid_request"),
        (replace(issue(), name="two\nlines"), "invalid_request"),
        (issue(products=("a/b",)), "invalid_name"),
    ],
)
def test_what_no_row_file_or_broker_may_hold_is_refused(message: Any, code: str) -> None:
    answer = hub_with_product().ask(message)
    assert isinstance(answer, RequestRefused)
    assert answer.code == code


def test_tags_that_are_added_may_not_become_too_many() -> None:
    hub = hub_with_product()
    hub.ask(register(tags=tuple(f"t{n}" for n in range(TAGS))))
    answer = hub.ask(add_tags("one-more"))
    assert isinstance(answer, RequestRefused)
    assert answer.code == "too_many_tags"
    assert hub.ask(add_tags("t0")).status == 200


def test_an_answer_to_nowhere_is_a_dead_letter_also_where_it_would_be_given_later() -> None:
    nowhere = replace(reply(), partition=99)
    for message in (replace(register(), reply_to=nowhere), replace(put(), reply_to=nowhere)):
        with pytest.raises(InvalidMessage, match="partition 99"):
            step(None, message, at(key_of(message)), NOTHING, partitions=1)


def test_what_concerns_all_is_no_ones_message_and_the_other_way_round() -> None:
    changed = ProductChanged("e", "p1", 1, ProductDefaults(), "tester", T0)
    for broadcast in (tick(0), changed, ProductClosing("p1", 1, T0), ProductDeleted("e", "p1", 1, "tester", T0)):
        with pytest.raises(Misplaced):
            step(None, broadcast, at(), NOTHING, partitions=1)
    with pytest.raises(Misplaced):
        fold_reference(NOTHING, register(), at(BROADCAST_KEY))
    for taken in (ProductTaken("p1", 1, 1, 0), ProductTaken("p2", 1, 0, 0)):
        with pytest.raises(Misplaced):
            step(None, taken, at(b"p1"), NOTHING, partitions=1)


def test_counters_hear_of_every_request_and_what_came_of_it() -> None:
    told: list[tuple[str, str]] = []
    known: Shared[int, Known] = Shared(-1, {"p1": Known(1, "open")})

    def ask(row: Entry | None, message: Any) -> Entry | None:
        return step(row, message, at(), known, partitions=1, tell=lambda kind, outcome: told.append((kind, outcome)))[0]

    row = ask(None, replace(register(), idempotency=idempotent()))
    row = ask(row, replace(register(), idempotency=idempotent()))
    row = ask(row, register())
    ask(row, register(secret="other"))
    assert [outcome for _, outcome in told] == ["done", "again", "unchanged", "device_exists"]
    assert {kind for kind, _ in told} == {"register_device"}


def test_broadcasts_name_the_rows_that_they_visit() -> None:
    changed = ProductChanged("e", "p1", 1, ProductDefaults(device_to_device=True), "tester", T0)
    folded = fold_reference(NOTHING, changed, at(BROADCAST_KEY))
    assert (folded.targets, folded.cells) == (Keys(()), {"p1": Known(1, "open", device_to_device=True)})
    known: Shared[int, Known] = Shared(-1, {"p1": Known(1, "open", device_to_device=True)})
    closing = fold_reference(known, ProductClosing("p1", 2, T0), at(BROADCAST_KEY))
    assert closing.targets == Terms((("product", "p1"),))
    assert closing.cells == {"p1": Known(2, "closing", device_to_device=True)}, "its devices may do what they did"
    assert fold_reference(known, changed, at(BROADCAST_KEY)).targets is None, "met before"
    assert fold_reference(NOTHING, tick(5), at(BROADCAST_KEY)).targets == Due(T0 + 5000)
    assert fold_reference(Shared(T0 + 6000, {}), tick(5), at(BROADCAST_KEY)).targets is None


def test_only_the_newest_requests_are_remembered_and_only_for_a_day() -> None:
    entry = Entry()
    for number in range(ANSWERS + 2):
        entry = remember(entry, f"k{number}", "f", 200, T0 + number)
    assert [known.key for known in entry.answered] == [f"k{number}" for number in range(2, ANSWERS + 2)]
    day = 24 * 3_600_000
    assert recalled(entry, idempotent("k5"), T0 + day) is not None
    assert recalled(entry, idempotent("k5"), T0 + 5 + day) is None
    assert [known.key for known in forget(entry, T0 + 5 + day).answered] == ["k6", "k7", "k8", "k9"]
    assert forget(entry, T0) is entry


def test_views_lists_and_counts_are_of_devices_alone() -> None:
    hub = hub_with_product()
    hub.ask(register(tags=("a", "b")))
    hub.ask(issue())
    shared = hub.parts[0].shared
    row = hub.row(b"p1/d1")
    assert row is not None
    assert listing(row) == (("product", "p1"), ("tag", "p1/a"), ("tag", "p1/b"))
    assert terms(row) == (("product", "p1"),)
    assert tally(b"p1/d1", row) == "p1"
    shown, secrets = show_device(b"p1/d1", row, shared), show_credentials(b"p1/d1", row, shared)
    assert shown is not None
    assert secrets is not None
    assert isinstance(row.subject, Device)
    assert (shown.version, shown.tags) == (secrets.version, secrets.tags) == (row.subject.version, ("a", "b"))
    assert secrets.secret_hash == credential().hash
    for key in (b"p1", b"key:k1", b"p1/other"):
        other = hub.row(key)
        assert show_device(key, other, shared) is None
        assert show_credentials(key, other, shared) is None
        assert other is None or (terms(other), listing(other), tally(key, other)) == ((), (), None)


def test_an_api_key_is_an_event_without_its_hash_and_a_document_until_it_is_revoked() -> None:
    hub = Hub()
    answer = hub.ask(issue())
    assert answer.status == 201
    assert issue().hash.encode() not in hub.published[names.REGISTRY_EVENTS][0][1]
    assert issue().hash.encode() in hub.documents[names.REGISTRY_API_KEYS, b"key:k1"]
    assert hub.ask(issue()).status == 201
    other = hub.ask(issue(secret="other"))
    assert isinstance(other, RequestRefused)
    assert (other.status, other.code) == (409, "key_exists")
    assert hub.ask(revoke()).status == 204
    assert not hub.documents
    gone = hub.ask(revoke())
    assert isinstance(gone, RequestRefused)
    assert gone.code == "unknown_key"
    assert list(hub.published) == [names.REGISTRY_EVENTS], "keys are of no interest to inboxes"
    assert WHO["requested_by"] == hub.events(b"key:k1")[0]["by"]
