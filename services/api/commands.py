"""Commands to one device, between HTTP and the commands service: sent, called, cancelled and listed by its row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from libs.runtime.requests.client import NoAnswer, Refused
from libs.topics.access import P2P
from libs.topics.identity import device_key
from libs.topics.messages.command_requests import CancelCommand, SendCommand
from libs.topics.names import COMMANDS_INBOX

from . import devices
from .command_documents import Command, CommandId
from .newcomers import Attempts, unheard_of
from .payloads import carried
from .problems import Problem, busy

if TYPE_CHECKING:
    from libs.topics.messages.base import Encoding
    from libs.topics.messages.command_requests import ProbeDevice

    from .asking import Asker
    from .command_documents import NewCommand, NewRpc
    from .hub import Hub

    DeviceRequest: TypeAlias = SendCommand | CancelCommand | ProbeDevice
    Mode: TypeAlias = Literal["cmd", "rpc"]
    Order: TypeAlias = tuple[Mode, str, Encoding, msgspec.Raw, int | None]
    """Mode, name, encoding, payload and ms to wait, as requests have them one behind the other."""

SERVICE: Final = "commands"
LEDGER: Final = (SERVICE, "ledger", "commands")
"""Service, table and view of all commands of a device that its owner remembers."""
SECOND: Final = 1000
GRACE_S: Final = 3.0
"""Seconds, beyond the device's own, in which the owner tells that an rpc timed out."""


class Known(msgspec.Struct, frozen=True):
    """All commands of a device that the owner of its row remembers."""

    open: list[Command]
    """In order of their acceptance."""
    ended: list[Command]
    """The newest last."""

    def find(self, request_id: str) -> Command | None:
        return next((one for one in (*self.open, *self.ended) if one.request_id == request_id), None)


async def send(asker: Asker, product_id: str, device_id: str, new: NewCommand, body: bytes) -> Command:
    """Send a command, now or when the device is online; returns its entry. ``body``: as the caller wrote it.

    Raises `Problem`, and as `ask`.
    """
    request = SendCommand(
        product_id,
        device_id,
        asker.request_id("c", f"{product_id}/{device_id}"),
        *order("cmd", new, body, new.ttl_s),
        **asker.stamp(),
    )
    return msgspec.json.decode(await ask(asker, request), type=Command)


async def call(asker: Asker, product_id: str, device_id: str, new: NewRpc, body: bytes) -> Command:
    """Send an rpc and wait for its end; returns its entry with the reply. Raises `Problem`, and as `ask`.

    Whatever happens meanwhile, the ledger knows the outcome under the request id, which every problem of an rpc that
    may have reached the device has in ``current``.
    """
    request = SendCommand(
        product_id,
        device_id,
        asker.request_id("r", f"{product_id}/{device_id}"),
        *order("rpc", new, body, new.timeout_s),
        **asker.stamp(),
    )
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        body = await ask(asker, request, new.timeout_s + GRACE_S)
    except NoAnswer as error:
        known = msgspec.Raw(msgspec.json.encode(CommandId(product_id, device_id, request.request_id)))
        if loop.time() - begun < new.timeout_s:  # Kafka did not take it in time, or this process ends
            raise busy("no_answer", str(error), current=known) from error
        said = f"nothing was heard of {request.request_id} within {new.timeout_s + GRACE_S:g} s"
        raise Problem("rpc_timed_out", said, current=known) from error
    return msgspec.json.decode(body, type=Command)


def location(command: Command) -> str:
    """Say where it is found what becomes of a command."""
    return f"/v1/commands/{command.request_id}?device={command.product_id}/{command.device_id}"


async def cancel(asker: Asker, command: Command) -> Command:
    """End a command that is not over; returns its entry. Raises as `ask`."""
    request = CancelCommand(command.product_id, command.device_id, command.request_id, **asker.stamp())
    return msgspec.json.decode(await ask(asker, request), type=Command)


async def ask(asker: Asker, request: DeviceRequest, seconds: float | None = None) -> msgspec.Raw:
    """Return the body of the owner's answer, which gets so many ``seconds``.

    Raises `Problem` where there is no such device, `Unavailable`, and as `Asker.ask`.
    """
    product_id, device_id = request.product_id, request.device_id
    async for _ in Attempts(asker.hub, product_id, device_id):
        try:
            return (await asker.ask(COMMANDS_INBOX, device_key(product_id, device_id), request, seconds)).body
        except Refused as refused:
            if refused.answer.code != "unknown_device":
                raise
    raise unheard_of(SERVICE, product_id, device_id)


async def known(hub: Hub, product_id: str, device_id: str) -> Known:
    """Read what the owner of a device remembers. Raises `Problem` where there is no such device, `Unavailable`."""
    found = await hub.reads.get(*LEDGER, product_id, device_id)
    if found is None:
        await devices.read(hub, product_id, device_id)
        return Known([], [])
    return msgspec.json.decode(found, type=Known)


def order(mode: Mode, new: NewCommand | NewRpc, body: bytes, seconds: float | None) -> Order:
    """Return what is to be sent, as requests have it; ``seconds``: that it may wait, or the device may take.

    Raises `Problem` ``reserved_name``, and as `carried`.
    """
    if new.name == P2P:  # cmd/{p}/{d}/p2p/plain/{request id} is what the client plain/{request id} may read
        raise Problem("reserved_name", f"no command is called {P2P}", advice="Choose another name.")
    return mode, new.name, *carried(new, body), None if seconds is None else round(seconds * SECOND)
