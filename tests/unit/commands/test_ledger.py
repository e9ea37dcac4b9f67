"""The ledger under any interleaving of what applications, devices, brokers, time and restarts do to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from libs.topics import names
from libs.topics.codec import Decoder, encode
from libs.topics.identity import BROADCAST_KEY
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.command_events import (
    CommandAccepted,
    CommandEnded,
    CommandReplied,
    CommandSent,
    LateReplyRecorded,
    ProbeConcluded,
)
from libs.topics.messages.downlink import PublishMessage
from libs.topics.messages.hub import RequestAnswered, RequestRefused, TimePassed
from services.commands.fold import fold
from services.commands.limits import Rules
from services.commands.lives import deadline
from services.commands.model import Entry, Product
from services.commands.reference import fold_reference, sum_up
from services.commands.step import step
from services.commands.views import listing, show_commands, terms
from tests.support.commands.asking import (
    KEY,
    T0,
    call,
    cancel,
    cancel_fanout,
    delete_device,
    delivered,
    echo,
    idempotent,
    presence,
    probe,
    published,
    refused,
    register,
    reply,
    retag,
    send,
    send_to_tag,
    unheard,
)
from tests.support.commands.hub import decode, decode_event
from tests.unit.runtime.lane.lab import Lab, Record

RULES = Rules(open=6, ttl=40_000, longest_ttl=60_000, pace=2, window=500)
TTLS = st.sampled_from([None, None, 1, 900, 4_000, 15_000])
PICKS = st.integers(0, 30)
DAY = 24 * 3600 * 1000

decode_said: Decoder[Any] = Decoder(PublishMessage | RequestAnswered | RequestRefused)


def lab(changelog: list[Record]) -> Lab:
    parts: dict[str, Any] = {
        "decode": decode,
        "row": Entry,
        "step": partial(step, rules=RULES),
        "shared": -1,
        "cell": Product,
        "fold_shared": partial(fold_reference, rules=RULES),
        "swept": partial(sum_up, rules=RULES),
        "terms": terms,
        "deadline": partial(deadline, rules=RULES),
        "listing": listing,
    }
    return Lab(changelog, **parts)


class Ledger(RuleBasedStateMachine):
    """One device, and a worker that may start again from any offset that it had committed."""

    def __init__(self) -> None:
        super().__init__()
        self.time = T0
        self.newest_tick = -1
        self.inbox: list[Record] = []
        self.changelog: list[Record] = []
        self.labs = [lab([])]
        self.seen = 0
        self.asked = self.fanouts = self.probes = 0
        self.question: PublishMessage | None = None
        self.verdicts: Counter[str] = Counter()
        self.link = 0
        self.hears = False
        self.disordered = False
        """Whether a device listened, and then did not, in the middle of one connection."""
        self.version = 1
        self.presences = 0
        # what was said
        self.accepted: dict[str, CommandAccepted] = {}
        self.ends: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.answers: Counter[str] = Counter()
        self.sends: defaultdict[int, list[str]] = defaultdict(list)
        self.tries: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.late: Counter[tuple[str, str]] = Counter()
        self.folded = Entry(product_id="p1")

    @initialize()
    def begin(self) -> None:
        self.write(register(tags=("line-3",)))

    # -- what happens
    @rule(ttl=TTLS, again=st.booleans())
    def send(self, ttl: int | None, *, again: bool) -> None:
        self.ask(send, ttl, again=again)

    @rule(ttl=TTLS, again=st.booleans())
    def call(self, ttl: int | None, *, again: bool) -> None:
        self.ask(call, ttl, again=again)

    @rule(more=st.integers(2, 4))
    def send_several(self, more: int) -> None:
        for _ in range(more):
            self.ask(send, None)

    def ask(self, kind: Any, ttl: int | None, *, again: bool = False) -> None:
        self.asked += 1
        request_id = f"r{self.asked}"
        message = kind(request_id, ttl=ttl, idempotency=idempotent(request_id))
        for attempt in range(1 + again):
            correlation = f"{request_id}-{attempt}"
            self.waiting[correlation] = request_id
            self.write(replace(message, reply_to=ReplyTo(1, correlation)))

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        self.write(cancel(self.pick(pick)))

    @rule(pick=PICKS, message_id=st.sampled_from(["m1", "m2"]), again=st.booleans())
    def reply(self, pick: int, message_id: str, *, again: bool) -> None:
        request_id = self.pick(pick)
        event = self.accepted.get(request_id)
        was_open = event is not None and request_id not in self.ends and event.expires_at > self.now()
        self.write(reply(request_id, message_id=message_id, at=self.time))
        if was_open:
            assert self.ends[request_id] == "replied"
        if again:
            self.write(reply(request_id, message_id=message_id, at=self.time))

    @rule(pick=PICKS, again=st.booleans())
    def publish(self, pick: int, *, again: bool) -> None:
        for _ in range(1 + again):
            self.write(published(self.pick(pick), at=self.time))

    @rule(pick=PICKS)
    def refuse(self, pick: int) -> None:
        request_id = self.pick(pick)
        again = self.is_doubtful(request_id) and self.tries[request_id] > 1
        self.tries[request_id] -= again
        self.write(refused(request_id))
        if again and request_id in self.ends:
            assert self.ends[request_id] in {"expired", "timed_out"}, "the device may have had it before"

    @rule(pick=PICKS)
    def nobody_hears(self, pick: int) -> None:
        """Let a command meet a broker at which nobody has subscribed to it: it is to be sent again.

        Also where none was due: a downlink that was killed publishes again, and tells again.
        """
        request_id = self.pick(pick)
        self.tries[request_id] -= self.is_doubtful(request_id)
        here = self.sends[self.link]
        if self.tries[request_id] == self.attempts[request_id] and request_id in here:
            self.disordered |= here[-1] != request_id
            here.remove(request_id)
        self.write(unheard(request_id, at=self.time))

    def is_doubtful(self, request_id: str) -> bool:
        """Whether a notice is due."""
        return request_id not in self.ends and self.tries[request_id] > self.attempts[request_id]

    @rule(pick=PICKS)
    def deliver(self, pick: int) -> None:
        self.write(delivered(self.pick(pick), at=self.time))

    @rule(fresh=st.booleans(), state=st.sampled_from(["online", "online", "offline", "unknown"]))
    def connect(self, *, fresh: bool, state: Any) -> None:
        self.presences += 1
        self.hears = state != "offline"
        if state != "offline" and (fresh or not self.link):
            self.link += 1
            self.disordered = False
        self.write(presence(state, self.presences, f"ch{self.link}"))

    @rule(pick=PICKS, before=st.sampled_from([0, 1]), tick=st.booleans())
    def come_at_the_end(self, pick: int, before: int, *, tick: bool) -> None:
        """A device comes online at the very moment at which one of its commands is over, or just before it."""
        event = self.accepted.get(request_id := self.pick(pick))
        if event is not None and request_id not in self.ends and event.expires_at - before > self.now():
            self.time = event.expires_at - before
            if tick:
                self.tick()
            self.connect(fresh=True, state="online")

    @rule(ms=st.sampled_from([0, 1, 400, 500, 899, 900, 4_000]), tick=st.booleans())
    def wait(self, ms: int, *, tick: bool) -> None:
        self.time += ms
        if tick:
            self.tick()

    @rule()
    def wait_for_all(self) -> None:
        """A device that hears for long enough has been sent all that is open, where it listens."""
        for _ in range(2 * RULES.open):
            self.time += RULES.window
            self.tick()
            for request_id in [*self.accepted, self.labs[-1].rows()[KEY].scout]:
                while self.is_doubtful(request_id):
                    self.write(published(request_id, at=self.time))
                self.write(published(request_id, at=self.time))  # also of what is over, or once more
        row = self.labs[-1].rows()[KEY]
        if self.hears and row.retry_at <= self.now():
            left = {one for one, event in self.accepted.items() if one not in self.ends and event.mode == "cmd"}
            assert left <= set(self.sends[self.link])

    @rule(mode=st.sampled_from(["cmd", "rpc"]), again=st.booleans())
    def fan_out(self, mode: Any, *, again: bool) -> None:
        self.fanouts += 1
        for _ in range(1 + again):
            self.write(send_to_tag(f"f{self.fanouts}", mode=mode))

    @rule(back=st.integers(0, 2))
    def cancel_fan_out(self, back: int) -> None:
        self.write(cancel_fanout(f"f{self.fanouts - back}"))
        cancelled = f"f{self.fanouts - back}"
        assert cancelled not in self.accepted or cancelled in self.ends

    @rule(mode=st.sampled_from(["strict", "loose"]))
    def probe(self, mode: Any) -> None:
        self.probes += 1
        self.waiting[f"q{self.probes}"] = f"q{self.probes}"
        self.write(replace(probe(f"q{self.probes}", mode), reply_to=ReplyTo(1, f"q{self.probes}")))

    @rule(again=st.booleans())
    def echo(self, *, again: bool) -> None:
        for _ in range(1 + again):
            if self.question is not None:
                self.write(echo(self.question.topic.rpartition("/")[2], bytes(self.question.payload), at=self.time))

    @rule(tagged=st.booleans())
    def tag(self, *, tagged: bool) -> None:
        self.version += 1
        self.write(retag(*(["line-3"] if tagged else []), version=self.version))

    @rule()
    def live_again(self) -> None:
        """Delete the device and register another one of its name: nothing is known of the first one's commands."""
        self.version += 2
        self.write(delete_device(version=self.version - 1))
        assert set(self.accepted) == set(self.ends)
        self.folded = Entry(product_id="p1")
        self.write(register(version=self.version, tags=("line-3",)))

    @rule(lost=st.booleans(), back=st.integers(0, 8))
    def restart(self, *, lost: bool, back: int) -> None:
        """Start another worker, from rows that may lack the last events, and an offset that may lie before them."""
        if not lost:
            self.changelog += self.labs[-1].deliver()
        acknowledged = max([0, *[end for one in self.labs for end in one.acknowledged]])
        second = lab(self.changelog)
        self.labs.append(second)
        self.seen = 0
        left = self.inbox[max(0, acknowledged - back) :]
        if left:
            second.feed(*left, generation=len(self.labs))
        self.seen = len(second.producer.sent)

    @invariant()
    def the_public_log_makes_the_ledger_again(self) -> None:
        row = self.labs[-1].rows().get(KEY)
        if row is not None and row.gone_at is None:
            shown = show_commands(KEY, row, None)  # type: ignore[arg-type] # it needs no reference data
            self.folded.registered = True
            assert shown == show_commands(KEY, self.folded, None)  # type: ignore[arg-type] # as above

    def teardown(self) -> None:
        self.time += DAY
        for _ in range(4):  # attempts of probes
            self.time += 10_000
            self.tick()
        assert set(self.accepted) == set(self.ends), "every command came to an end"
        assert self.answers == Counter(list(self.waiting)), "every request was answered once"
        whole = lab([])
        whole.feed(*self.inbox)
        assert self.labs[-1].rows() == whole.rows()
        said = {(sent.topic, sent.key, sent.value) for one in self.labs for sent in one.producer.sent}
        assert said == {(sent.topic, sent.key, sent.value) for sent in whole.producer.sent}
        assert not whole.letters()

    # -- how it is written, and what was said
    def pick(self, number: int) -> str:
        """Return the id of a command that there is, or of none."""
        known = [*self.accepted, "unheard-of"]
        return known[-1 - number % len(known)]

    def now(self) -> int:
        return max(self.time, self.newest_tick)

    def tick(self) -> None:
        self.newest_tick = max(self.newest_tick, self.time)
        self.write(TimePassed(0, self.time), BROADCAST_KEY)

    def write(self, message: Any, key: bytes | None = None) -> None:
        broadcast = key or not hasattr(message, "device_id")
        record = Record(BROADCAST_KEY if broadcast else KEY, encode(message), len(self.inbox), self.time)
        self.inbox.append(record)
        current = self.labs[-1]
        current.feed(record)
        fresh, self.seen = current.producer.sent[self.seen :], len(current.producer.sent)
        for sent in fresh:
            if sent.topic == names.COMMANDS_EVENTS and sent.key == KEY:
                self.happened(decode_event(sent.value))
            elif sent.topic == names.DOWNLINK_MESSAGES:
                self.sent(decode_said(sent.value))
            elif sent.topic == names.API_REPLIES:
                self.answers[decode_said(sent.value).correlation_id] += 1

    def happened(self, event: Any) -> None:
        if isinstance(event, ProbeConcluded):
            self.verdicts[event.probe_id] += 1
            assert self.verdicts[event.probe_id] == 1
            return
        after = fold(self.folded, event)
        assert fold(after, event) == after, "an event that is met again changes nothing"
        self.folded = after
        known = event.request_id
        if isinstance(event, CommandAccepted):
            assert known not in self.accepted, "a request is accepted once"
            self.accepted[known] = event
        elif isinstance(event, CommandReplied | CommandEnded):
            assert known not in self.ends, "an end is the only one"
            self.ends[known] = event.outcome if isinstance(event, CommandEnded) else "replied"
        elif isinstance(event, LateReplyRecorded):
            self.late[known, event.message_id] += 1
            assert known in self.ends, "only what is over can be replied to late"
            assert self.late[known, event.message_id] == 1
        else:
            assert known not in self.ends, "nothing but a late reply follows an end"
            if isinstance(event, CommandSent):
                self.attempts[known] += 1
                assert event.attempt == self.attempts[known] <= self.tries[known], "what was given is sent"

    def sent(self, message: PublishMessage) -> None:
        if "/rrpc/" in message.topic:
            self.question = message
            return
        if message.request_id is None:
            return  # of the hub's own: `test_pulls`
        request_id = message.request_id
        event = self.accepted[request_id]
        assert self.now() < event.expires_at, "nothing is sent at its expiry or after it"
        assert request_id not in self.ends, "nor after its end, such as a reply"
        self.tries[request_id] += 1
        assert event.mode == "cmd" or self.tries[request_id] == 1, "an rpc is sent once"
        if event.mode == "cmd":
            before = self.sends[self.link]
            assert request_id not in before, "once for each connection"
            before.append(request_id)
            in_order = [one for one in self.accepted if one in before]
            assert self.disordered or before == in_order, "in order of acceptance"


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
