"""Whether a device answers: every probe comes to one verdict, in its time, and whoever asked hears it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.verdicts import Unfit
from libs.topics import names
from libs.topics.messages.hub import TimePassed
from services.commands.probe import MISSES, NOTICE, RUNNING, WAITERS, WITHIN, question
from tests.support.commands.asking import delete_device, echo, idempotent, probe, product, published, refused, register
from tests.support.commands.hub import Hub, answers, decode_answer

if TYPE_CHECKING:
    from libs.topics.messages.downlink import PublishMessage

MINUTE = 60_000


def asked(hub: Hub) -> list[tuple[str, PublishMessage]]:
    """Message id and message of every attempt."""
    sent = [(message.topic.split("/"), message) for message in hub.told_by_itself()]
    assert all(topic[:5] == ["", "sys", "p1", "d1", "rrpc"] for topic, _ in sent)
    return [(topic[6], message) for topic, message in sent]


def tell(hub: Hub) -> None:
    """Tell, as the downlink does, that all that was asked was published. It may tell so again."""
    for message_id, _ in asked(hub):
        hub.write(published(message_id, at=hub.time))


def wait(hub: Hub, ms: int) -> None:
    """Let time pass, with a tick in each second and a downlink that is well."""
    until = hub.time + ms
    while hub.time < until:
        tell(hub)
        hub.tick(min(hub.time + 1000, until))
    tell(hub)


def answer(hub: Hub, *, after: int = 40, payload: bytes | None = None, attempt: int = -1) -> Any:
    message_id, message = asked(hub)[attempt]
    hub.time += after
    return hub.write(echo(message_id, bytes(message.payload) if payload is None else payload, at=hub.time))


def test_a_device_that_echoes_is_reachable_at_once() -> None:
    hub = Hub()
    assert hub.ask(probe()) is None
    [(message_id, message)] = asked(hub)
    assert message.topic == f"/sys/p1/d1/rrpc/request/{message_id}"
    assert msgspec.json.decode(message.payload) == {"id": message_id, "version": "1.0", "time": hub.time}
    assert (message.expires_at, message.request_id, message.qos) == (hub.time + WITHIN, message_id, 1)
    [told] = answers(answer(hub))
    assert (told.status, msgspec.json.decode(told.body)["rtt_ms"]) == (200, 40)
    [verdict] = hub.verdicts()
    assert (verdict.verdict, verdict.attempts, verdict.round_trip_ms) == ("reachable", 1, 40)
    assert (verdict.altered, verdict.at) == (False, hub.time)
    assert hub.row.probes == ()


def test_its_verdict_is_presence_s_too() -> None:
    hub = Hub()
    hub.write(probe())
    answer(hub)
    [(topic, key, value)] = [said for said in hub.log if said[0] == names.PRESENCE_INBOX]
    assert (topic, key) == ("presence.inbox", b"p1/d1")
    assert value == next(value for topic, _, value in hub.log if topic == names.COMMANDS_EVENTS)


@pytest.mark.parametrize("payload", [b"", b"pong", b'{"id":"x","version":"1.0","time":1}', b"\xff"])
def test_a_device_that_answers_something_else_is_reachable_and_says_so(payload: bytes) -> None:
    hub = Hub()
    hub.write(probe())
    answer(hub, payload=payload)
    [verdict] = hub.verdicts()
    assert (verdict.verdict, verdict.altered) == ("reachable", True)


@pytest.mark.parametrize(("mode", "attempts"), [("strict", 1), ("normal", 2), ("loose", 3)])
def test_so_many_misses_in_a_row_make_it_unreachable(mode: str, attempts: int) -> None:
    hub = Hub()
    hub.ask(probe(mode=mode))
    wait(hub, attempts * WITHIN - 1)
    assert (len(asked(hub)), hub.verdicts()) == (attempts, [])
    assert len({message_id for message_id, _ in asked(hub)}) == attempts, "no answer is to an earlier attempt"
    wait(hub, 1)
    [verdict] = hub.verdicts()
    assert (verdict.verdict, verdict.attempts, verdict.round_trip_ms) == ("unreachable", attempts, None)


def test_an_answer_after_a_miss_still_makes_it_reachable() -> None:
    hub = Hub()
    hub.write(probe(mode="normal"))
    wait(hub, WITHIN)
    answer(hub, after=10)
    [verdict] = hub.verdicts()
    assert (verdict.verdict, verdict.attempts, verdict.round_trip_ms) == ("reachable", 2, 10)


def test_an_answer_that_is_too_late_is_a_miss_also_before_a_tick_says_so() -> None:
    hub = Hub()
    hub.write(probe())
    tell(hub)
    answer(hub, after=WITHIN)
    [verdict] = hub.verdicts()
    assert verdict.verdict == "unreachable"
    assert hub.outcomes[-1] == ("probe_answered", "unknown")


def test_a_repeated_answer_changes_nothing() -> None:
    hub = Hub()
    hub.write(probe())
    answer(hub)
    answer(hub)
    assert len(hub.verdicts()) == 1


def test_a_request_that_is_repeated_is_answered_with_its_own_verdict() -> None:
    hub = Hub()
    hub.ask(probe("q1"))
    hub.ask(probe("q1"))
    assert len(asked(hub)) == 1
    assert [told.status for told in answers(answer(hub))] == [200, 200]
    again = hub.ask(probe("q1", idempotency=idempotent()))
    assert (again.status, msgspec.json.decode(again.body)["verdict"]) == (200, "reachable")
    assert len(asked(hub)) == 1
    assert hub.ask(probe("q1", mode="loose")).code == "idempotency_key_reused"


def test_what_cannot_be_probed_is_refused() -> None:
    assert Hub(online=None).ask(probe()).code == "unknown_device"
    hub = Hub()
    assert hub.ask(probe("a b")).code == "invalid_name"
    with pytest.raises(Unfit):
        hub.write(probe("a b"))
    for number in range(RUNNING):
        hub.ask(probe(f"q{number}"))
    said = hub.ask(probe("more"))
    assert (said.status, said.code) == (429, "too_many_probes")
    assert [hub.ask(probe("q0")) for _ in range(WAITERS - 1)] == [None] * (WAITERS - 1)
    assert hub.ask(probe("q0")).code == "too_many_probes"


def test_probes_of_a_device_do_not_disturb_each_other() -> None:
    hub = Hub()
    hub.write(probe("q1", "strict"))
    wait(hub, 1000)
    hub.write(probe("q2", "strict"))
    answer(hub, attempt=1)
    wait(hub, WITHIN)
    assert [(found.probe_id, found.verdict) for found in hub.verdicts()] == [("q2", "reachable"), ("q1", "unreachable")]


def test_a_device_that_is_deleted_meanwhile_has_no_verdict_and_whoever_waits_hears_why() -> None:
    hub = Hub()
    hub.ask(probe())
    [told] = answers(hub.write(delete_device()))
    assert told.code == "unknown_device"
    answer(hub)
    wait(hub, 2 * WITHIN)
    assert hub.verdicts() == []


# -- what was not asked says nothing


def test_a_question_that_nobody_published_is_no_miss() -> None:
    hub = Hub()
    hub.ask(probe())
    hub.time += WITHIN + NOTICE - 1
    assert not answers(hub.write(TimePassed(0, hub.time)))
    [told] = answers(hub.write(TimePassed(0, hub.time + 1)))
    assert (told.status, told.code) == (503, "probe_not_sent")
    assert (hub.verdicts(), hub.row.probes, hub.ends) == ([], (), [("probe", "not_sent")])


def test_nor_is_one_that_the_broker_refused() -> None:
    hub = Hub()
    hub.ask(probe())
    [(message_id, _)] = asked(hub)
    [told] = answers(hub.write(refused(message_id, "packet_too_large")))
    assert (told.code, told.detail) == ("probe_not_sent", "the question was not published: packet_too_large")
    assert hub.verdicts() == []


def test_its_time_begins_when_the_broker_has_it() -> None:
    hub = Hub()
    hub.write(probe())
    hub.tick(hub.time + 4000)
    tell(hub)
    answer(hub, after=WITHIN - 1)
    [verdict] = hub.verdicts()
    assert (verdict.verdict, verdict.round_trip_ms) == ("reachable", 4000 + WITHIN - 1)


def test_a_device_may_answer_before_the_downlink_tells() -> None:
    hub = Hub()
    hub.write(probe())
    answer(hub)
    tell(hub)
    assert len(hub.verdicts()) == 1


# -- by the product's schedule


def scheduled(*, online: bool = True, interval: int | None = 10 * MINUTE) -> Hub:
    hub = Hub(online=online)
    hub.write(product(None, probe_interval=interval))
    return hub


def test_a_product_s_devices_are_probed_once_in_each_interval() -> None:
    hub = scheduled()
    for _ in range(100 * 60):
        wait(hub, 1000)
        if hub.row.probes:
            answer(hub)
    assert [found.verdict for found in hub.verdicts()] == ["reachable"] * 10
    assert len({found.probe_id for found in hub.verdicts()}) == 10
    assert hub.row.probed == (), "nobody asks for them again"


def test_they_are_not_probed_all_at_once() -> None:
    hub = scheduled()
    for number in range(200):
        hub.write(register(f"e{number}"))
    due = [row.probe_at for row in hub.rows.values()]
    assert all(at is not None and 0 < at - hub.time <= 10 * MINUTE for at in due)
    assert len(set(due)) > 190


def test_a_device_that_is_offline_is_not_asked_and_one_that_comes_back_is() -> None:
    hub = scheduled(online=False)
    wait(hub, 25 * MINUTE)
    assert hub.told_by_itself() == []
    hub.connect()
    wait(hub, 10 * MINUTE)
    assert len(hub.verdicts()) == 1
    assert hub.verdicts()[0].mode == "normal"


def test_a_product_can_begin_and_stop_and_change_it() -> None:
    hub = scheduled(interval=None)
    wait(hub, 20 * MINUTE)
    assert hub.told_by_itself() == []
    hub.write(product(None, version=2, probe_interval=MINUTE))
    wait(hub, MINUTE)
    assert len(hub.told_by_itself()) >= 1
    hub.write(product(None, version=3))
    wait(hub, MINUTE)
    count = len(hub.told_by_itself())
    wait(hub, 20 * MINUTE)
    assert (len(hub.told_by_itself()), hub.row.probe_at) == (count, None)


# -- laws


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["ask", "again", "echo", "alter", "tell", "wait"]), st.integers(0, 7), st.integers(0, 6000)
        ),
        max_size=40,
    )
)
def test_every_probe_comes_to_one_verdict_and_everybody_who_asked_hears_it(events: list[tuple[str, int, int]]) -> None:
    hub, begun = Hub(), dict[str, list[str]]()
    for kind, number, ms in events:
        if kind in {"ask", "again"}:
            mode = list(MISSES)[number % 3]
            told = hub.ask(probe(f"q{number}", mode))
            if told is None:
                begun.setdefault(f"q{number}", []).append(mode)
            else:
                assert told.status in {200, 422, 429}
        elif kind == "wait":
            hub.tick(hub.time + ms)
        elif kind == "tell":
            tell(hub)
        elif sent := asked(hub):
            message_id, message = sent[number % len(sent)]
            hub.time += ms % 50
            payload = bytes(message.payload) if kind == "echo" else b"?"
            said = hub.write(echo(message_id, payload, at=hub.time))
            if hub.outcomes[-1][1] == "reachable":
                assert hub.verdicts()[-1].altered is (kind == "alter")
                assert answers(said)
    wait(hub, max(MISSES.values()) * (WITHIN + 1000) + NOTICE)
    assert hub.row.probes == ()
    for found in hub.verdicts():
        assert 1 <= found.attempts <= MISSES[found.mode]
        assert found.mode in begun[found.probe_id]
        if found.verdict == "unreachable":
            assert found.attempts == MISSES[found.mode]
        else:
            assert found.round_trip_ms is not None
    heard = [told for topic, _, value in hub.log if topic == names.API_REPLIES for told in [decode_answer(value)]]
    assert len({told.correlation_id for told in heard}) == len(heard) == hub.asked, "everybody, and once"


def test_what_is_asked_is_the_same_bytes_each_time() -> None:
    assert question("probe-0-1-0", 7) == b'{"id":"probe-0-1-0","version":"1.0","time":7}'
