"""Every uplink topic of the device protocol, and the one event that it becomes."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING

from libs.topics import names
from libs.topics.identity import NAME
from libs.topics.messages.app import DataRequested
from libs.topics.messages.commands import CommandAnswered, ProbeAnswered, ResourceRequested
from libs.topics.messages.ota import OtaProgressReported
from libs.topics.messages.shadow import (
    ShadowAcknowledged,
    ShadowMessageReceived,
    ShadowPulled,
    ShadowReported,
    StatusReported,
)
from libs.topics.messages.telemetry import DataUploaded, DeviceMessageSent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.topics.messages.base import Message

_ID = "/{message_id}"
_VARIABLE = re.compile(r"\{(?P<name>[a-z_]+)(?::(?P<values>[^}]*)|!(?P<other>[^}]*))?\}")


def compiled(template: str) -> re.Pattern[str]:
    """A topic pattern. ``{x}`` is a level that is a name, ``{x!a}`` one other than ``a``, ``{x:a|b}`` one of those."""
    done, parts = 0, []
    for variable in _VARIABLE.finditer(template):
        form = NAME.pattern
        if values := variable["values"]:
            form = "|".join(re.escape(value) for value in values.split("|"))
        elif other := variable["other"]:
            form = rf"(?!{re.escape(other)}(?:/|\Z)){NAME.pattern}"
        parts += [re.escape(template[done : variable.start()]), f"(?P<{variable['name']}>{form})"]
        done = variable.end()
    return re.compile("".join(parts) + re.escape(template[done:]))


class Route:
    """``template`` to ``kind`` in Kafka topic ``topic``.

    The message's fields are, in this order: those that the template names, ``constants``, and the packet id,
    the payload where the kind has one, and the time. Raises `TypeError` when they are not.
    """

    __slots__ = (
        "_names",
        "captured",
        "constants",
        "fields",
        "fullmatch",
        "head",
        "kind",
        "levels",
        "template",
        "topic",
        "with_payload",
    )

    def __init__(self, template: str, topic: str, kind: type[Message], *constants: str) -> None:
        pattern, declared = compiled(template), kind.__struct_fields__
        self.template, self.topic, self.kind, self.constants = template, topic, kind, constants
        self.levels = template.split("/")
        self._names = [
            (at, compiled(level).fullmatch)
            for at, level in enumerate(self.levels)
            if level.startswith(("{product_id", "{device_id"))
        ]
        self.fullmatch = pattern.fullmatch
        self.fields = tuple(name for name in declared if name in pattern.groupindex)
        self.with_payload = "payload" in declared
        last = (
            ("packet_id", "encoding", "payload", "received_at") if self.with_payload else ("packet_id", "received_at")
        )
        first = declared[: -len(last)]
        if first[: len(self.fields)] != self.fields or len(first) != len(self.fields) + len(constants):
            raise TypeError(f"{template} does not fill {kind.__name__}, which has {declared}")
        if declared[-len(last) :] != last:
            raise TypeError(f"{kind.__name__} does not end in {last}")
        self.head: Callable[[str], re.Match[str] | None] | None = None
        """Matches the levels before a message id, where all that the message says of the topic stands before it."""
        numbers = [pattern.groupindex[name] for name in self.fields]
        if template.endswith(_ID) and first[-1] == "message_id":
            self.head = compiled(template.removesuffix(_ID)).fullmatch
            numbers.pop()
        self.captured: Callable[[re.Match[str]], tuple[str, ...]] = itemgetter(*numbers)
        """The fields out of a match, of `head` where there is one, else of `fullmatch`."""

    def likeness(self, levels: list[str]) -> tuple[int, bool]:
        """How much a topic resembles the template: fixed levels in common, and whether as many levels."""
        return sum(mine == its for mine, its in zip(self.levels, levels, strict=False)), len(levels) == len(self.levels)

    def sender(self, levels: list[str]) -> bytes | None:
        """Key of the device that publishes on such a topic, where both of its names can be read from it."""
        found = [levels[at] for at, fits in self._names if at < len(levels) and fits(levels[at])]
        return "/".join(found).encode() if len(found) == len(self._names) else None


def by_first_level(routes: Iterable[Route]) -> dict[str, tuple[Route, ...]]:
    """Routes by the first level of the topics that may match them."""
    found: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        level = route.levels[0]
        for head in ("cmd_resp", "rpc_resp") if level == "{mode:cmd|rpc}_resp" else (level,):
            found[head] = (*found.get(head, ()), route)
    return found


ROUTES = (
    Route("upload_data/{product_id}/{device_id}/{data_type}/{message_id}", names.DEVICE_TELEMETRY, DataUploaded),
    Route("upload_data/{product_id}/{device_id}/$shadow_updated/{message_id}", names.SHADOW_INBOX, ShadowAcknowledged),
    Route("upload_data/{product_id}/{device_id}/$shadow_reported/{message_id}", names.SHADOW_INBOX, ShadowReported),
    Route("update_status/{product_id}/{device_id}/{message_id}", names.SHADOW_INBOX, StatusReported),
    Route(
        "{mode:cmd|rpc}_resp/{product_id}/{device_id}/{command}/{request_id}/{message_id}",
        names.COMMANDS_INBOX,
        CommandAnswered,
    ),
    Route("get/{product_id}/{device_id}/{resource}/{message_id}", names.APP_DATA_REQUESTS, DataRequested),
    Route("get/{product_id}/{device_id}/{resource:$ntp|$tags}/{message_id}", names.COMMANDS_INBOX, ResourceRequested),
    Route("get/{product_id}/{device_id}/$shadow/{message_id}", names.SHADOW_INBOX, ShadowPulled),
    Route("update_ota_status/{product_id}/{device_id}/{message_id}", names.OTA_INBOX, OtaProgressReported),
    Route("m2m/{product_id}/{to_device_id}/{device_id}/{message_id}", names.DEVICE_TELEMETRY, DeviceMessageSent),
    Route("/shadow/{product_id!update}/{device_id}/update", names.SHADOW_INBOX, ShadowMessageReceived, "device_first"),
    Route("/shadow/update/{product_id}/{device_id!update}", names.SHADOW_INBOX, ShadowMessageReceived, "verb_first"),
    Route("/sys/{product_id}/{device_id}/rrpc/response/{message_id}", names.COMMANDS_INBOX, ProbeAnswered),
)

DROPPED = (("get/{product_id}/{device_id}/${resource}/{message_id}", "unknown_resource"),)
"""Topics in order that nobody answers: counted under the reason."""

REFUSED = (
    (
        "upload_data/{product_id}/{device_id}/${data_type}/{message_id}",
        "reserved_name",
        "data types that begin with $ are the hub's own",
    ),
    (
        "/shadow/update/{name}/update",
        "ambiguous_topic",
        "this is both forms of the shadow topic, of two devices: one called update must use the other form",
    ),
)
"""Well-formed topics that go to the dead letters under the reason, with the sentence."""
