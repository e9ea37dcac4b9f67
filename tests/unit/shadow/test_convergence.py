"""Applications that write at once, a device, a connection that flaps: no update is lost, and in the end it is so."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from libs.shadow import trees
from libs.topics.messages.hub import RequestAnswered
from libs.topics.messages.shadow_changes import ShadowDocument
from tests.support.shadow.asking import acknowledge, aliyun, patch, presence, pull, report
from tests.support.shadow.hub import Hub, published

COUNTER = "counter"
READING = "reading"
"""What the device alone says. In two dialects a report is refused while another one is unanswered."""
TURNS = 5
"""Messages that a device may need for each that waits, until all is as desired, once nobody disturbs it."""


class Device:
    """A device of one dialect, made as docs/devices.md tells: it takes over what it is told, then says so.

    On a new connection it asks, and says what it has where the answer has something else: of what it said last, the
    refusal may have been lost.
    """

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.state: dict[str, Any] = {}
        self.version = self.reported_version = 0
        self.pulls = self.said = 0

    def ask(self) -> Any:
        if self.dialect == "aliyun":
            return aliyun({"method": "get"})
        return pull(native=self.dialect == "native")

    def report(self, reported: dict[str, Any]) -> Any:
        self.said += 1
        self.state = trees.merge(self.state, self.state, reported, 0)[0]
        name = f"m{self.said}"
        if self.dialect == "iothub":
            return report(reported, name, version=self.version)
        if self.dialect == "native":
            return report(reported, name, reported_version=self.reported_version)
        return aliyun({"method": "update", "state": {"reported": reported}, "version": self.version + 1})

    def take(self, topic: str, payload: dict[str, Any]) -> list[Any]:
        """Hear a message of the hub; returns what the device says to it."""
        if topic.startswith("/shadow/"):
            return self._control(payload)
        self.version = max(self.version, payload["version"])
        self.reported_version = payload.get("reported_version", self.reported_version)
        if "$shadow_reply" in topic:
            return []
        desired, reported = (payload["state"].get(name, {}) for name in ("desired", "reported"))
        if self.dialect == "native" or not desired:
            return self._put_right(desired, reported)
        self.said += 1
        self.state = trees.merge(self.state, self.state, desired, 0)[0]
        return [acknowledge(payload["version"], f"m{self.said}")]

    def _control(self, told: dict[str, Any]) -> list[Any]:
        if told["method"] == "reply" and "version" not in told:
            payload = told["payload"]
            if payload["status"] == "error":
                return [self.ask()]
            self.version = max(self.version, payload["version"])
            return []
        self.version = told["version"]
        desired, reported = (told["payload"]["state"].get(name, {}) for name in ("desired", "reported"))
        return self._put_right(desired, reported)

    def _put_right(self, desired: dict[str, Any], reported: dict[str, Any]) -> list[Any]:
        """Take over what is desired; report what is not known to be so."""
        self.state = trees.merge(self.state, self.state, desired, 0)[0]
        unknown = trees.difference(self.state, reported)
        return [self.report(unknown)] if unknown else []


class Shadow(RuleBasedStateMachine):
    """Two applications count up with expected versions, others set what they like."""

    @initialize(dialect=st.sampled_from(["iothub", "native", "aliyun"]))
    def begin(self, dialect: str) -> None:
        self.hub, self.device = Hub(), Device(dialect)
        self.known: dict[int, ShadowDocument | None] = {0: None, 1: None}
        self.counted = 0
        self.connected = False
        self.transitions = 0
        self.on_its_way: list[Any] = []
        """What presence has not told yet."""
        self.mail: list[Any] = []
        """What the broker holds for the connection that there is."""

    def write(self, message: Any) -> None:
        self.hub.time += 3
        self.deliver(self.hub.write(message))

    def deliver(self, outputs: Any) -> None:
        """Let the broker take what the hub publishes: it knows what the device has subscribed to."""
        listens = "/shadow/p1/d1/get" if self.device.dialect == "aliyun" else "cmd/p1/d1/"
        if self.connected:
            self.mail += [one for one in published(outputs) if one.topic.startswith(listens)]

    @rule(who=st.sampled_from([0, 1]))
    def count(self, who: int) -> None:
        """Read, add one, write: on what may be an old document."""
        known = self.known[who]
        state = {} if known is None else {**known.state.reported, **known.state.desired}
        value = state.get(COUNTER, 0)  # an acknowledgement makes desired reported
        version = 0 if known is None else known.version
        self.hub.time += 3
        before = len(self.hub.log)
        answer = self.hub.ask(patch({COUNTER: value + 1}, expected=version))
        self.deliver([(*said, -1) for said in self.hub.log[before:]])
        accepted = isinstance(answer, RequestAnswered)
        self.counted += accepted
        raw = answer.body if isinstance(answer, RequestAnswered) else answer.current
        self.known[who] = msgspec.json.decode(raw, type=ShadowDocument)

    @rule(key=st.sampled_from(["a", "b"]), value=st.sampled_from([1, 2, {"x": 1}, {"y": [1]}, None]))
    def set(self, key: str, value: Any) -> None:
        self.write(patch({key: value}))

    @rule(value=st.integers(0, 3))
    def measure(self, value: int) -> None:
        if self.connected:
            self.write(self.device.report({READING: value}))

    @rule()
    def drop(self) -> None:
        """Lose the connection, and what is under way on it."""
        if self.connected:
            self.connected, self.mail = False, []
            self._tell("offline", None)

    @rule()
    def dial(self) -> None:
        self.drop()
        self.connected = True
        self._tell("online", f"ch{self.transitions}")
        self.ask()

    @rule()
    def presence_tells(self) -> None:
        if self.on_its_way:
            self.write(self.on_its_way.pop(0))

    @rule()
    def ask(self) -> None:
        if self.connected:
            self.write(self.device.ask())

    @rule()
    def hear(self) -> None:
        if self.mail:
            message = self.mail.pop(0)
            for said in self.device.take(message.topic, msgspec.json.decode(message.payload)):
                self.write(said)

    def _tell(self, state: Any, channel: str | None) -> None:
        self.transitions += 1
        self.on_its_way.append(presence(state, self.transitions, channel))

    def teardown(self) -> None:
        if not hasattr(self, "hub"):
            return
        self.dial()
        while self.on_its_way:
            self.presence_tells()
        for _ in range(TURNS * (1 + len(self.mail))):
            self.hear()
        assert self.mail == []
        document = self.hub.row.classic
        if document is not None:
            assert document.delta == {}, "all is as desired"
            both = {**document.reported, **document.desired}
            assert both.get(COUNTER, 0) == self.counted, "no update was lost"
            wanted = {key: value for key, value in both.items() if key != READING}
            assert trees.difference(wanted, self.device.state) == {}, "and the device has taken it over"


TestShadow = Shadow.TestCase
TestShadow.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
