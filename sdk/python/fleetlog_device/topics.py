"""Topics of the device protocol: rendered, and read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .names import NAME

Mode: TypeAlias = Literal["cmd", "rpc"]
Encoding: TypeAlias = Literal["plain", "base64"]

P2P_LEVELS: Final = 4
"""How many levels may stand before ``/p2p/``: brokers that cannot subscribe for us have an access rule for each."""


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """``cmd|rpc/{p}/{d}/`` or ``tags/{p}/{tag}/cmd/``, and ``{command}/{encoding}/{request_id}[/{expires_at}]``."""

    mode: Mode
    tag: str | None
    """The tag that it was sent to; None: to this device alone."""
    command: str
    """With its ``$`` where it is the hub's own."""
    encoding: Encoding
    request_id: str
    expires_at: int | None
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class MessageTopic:
    """``m2m/{p}/{me}/{sender}/{message_id}``."""

    sender: str
    message_id: str


@dataclass(frozen=True, slots=True)
class PeerTopic:
    """``{topic}/p2p/{client id}``."""

    topic: str


@dataclass(frozen=True, slots=True)
class ShadowTopic:
    """``/shadow/{p}/{d}/get`` or its alias."""


@dataclass(frozen=True, slots=True)
class ProbeTopic:
    """``/sys/{p}/{d}/rrpc/request/{message_id}``."""

    message_id: str


Inbound: TypeAlias = CommandTopic | MessageTopic | PeerTopic | ShadowTopic | ProbeTopic


class Topics:
    """Topics of one device. The names must have been checked."""

    def __init__(self, product: str, device: str, client_id: str) -> None:
        self.product, self.device, self.client_id = product, device, client_id
        self._me = f"{product}/{device}"

    def upload(self, data_type: str, message_id: str) -> str:
        return f"upload_data/{self._me}/{data_type}/{message_id}"

    def status(self, message_id: str) -> str:
        return f"update_status/{self._me}/{message_id}"

    def reply(self, mode: Mode, command: str, request_id: str, message_id: str) -> str:
        return f"{mode}_resp/{self._me}/{command}/{request_id}/{message_id}"

    def request(self, resource: str, message_id: str) -> str:
        return f"get/{self._me}/{resource}/{message_id}"

    def upgrade_progress(self, message_id: str) -> str:
        return f"update_ota_status/{self._me}/{message_id}"

    def message(self, to_device: str, message_id: str) -> str:
        return f"m2m/{self.product}/{to_device}/{self.device}/{message_id}"

    def shadow(self) -> str:
        return f"/shadow/{self._me}/update"

    def probe_answer(self, message_id: str) -> str:
        return f"/sys/{self._me}/rrpc/response/{message_id}"

    def tag(self, tag: str) -> str:
        """The filter of a tag's commands."""
        return f"tags/{self.product}/{tag}/cmd/+/+/+/#"

    def standing(self) -> tuple[str, ...]:
        """Filters of every device; those of tags come on top."""
        return (
            f"cmd/{self._me}/+/+/+/#",
            f"rpc/{self._me}/+/+/+/#",
            f"m2m/{self._me}/+/+",
            f"/shadow/{self._me}/get",
            f"/sys/{self._me}/rrpc/request/+",
            *(f"{'+/' * levels}p2p/{self.client_id}" for levels in range(1, P2P_LEVELS + 1)),
        )

    def read(self, topic: str) -> Inbound | None:
        """What came, or None where it is nothing that the protocol sends to this device."""
        levels = topic.split("/")
        match levels:
            case ["cmd" | "rpc" as mode, self.product, self.device, *rest]:
                return _command("rpc" if mode == "rpc" else "cmd", None, rest)
            case ["tags", self.product, tag, "cmd", *rest] if NAME.fullmatch(tag):
                return _command("cmd", tag, rest)
            case ["m2m", self.product, self.device, sender, message_id] if _names(sender, message_id):
                return MessageTopic(sender, message_id)
            case ["", "shadow", self.product, self.device, "get"] | ["", "shadow", "get", self.product, self.device]:
                return ShadowTopic()
            case ["", "sys", self.product, self.device, "rrpc", "request", message_id] if _names(message_id):
                return ProbeTopic(message_id)
        ahead = topic.removesuffix(f"/p2p/{self.client_id}")
        return PeerTopic(ahead) if ahead != topic else None


def _names(*levels: str) -> bool:
    return all(NAME.fullmatch(level) for level in levels)


def _command(mode: Mode, tag: str | None, levels: list[str]) -> CommandTopic | None:
    if len(levels) not in (3, 4):
        return None
    command, encoding, request_id, *more = levels
    if encoding not in ("plain", "base64") or not _names(command.removeprefix("$"), request_id):
        return None
    expires_at = None
    if more:
        if not (more[0].isascii() and more[0].isdigit() and len(more[0]) <= 15):
            return None
        expires_at = int(more[0])
    return CommandTopic(mode, tag, command, "base64" if encoding == "base64" else "plain", request_id, expires_at)
