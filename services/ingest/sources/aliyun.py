"""Connection events in the form of Aliyun's Micro Message Queue for MQTT. Pure and stateless.

The event has a client id, ``{group id}@@@{device id}``, and no user name: on that broker the user name is an access
key, and what the password signs is the client id. So the group id is the product id and what follows is the device
id, both as they are; an installation registers its products under their group ids. Other client ids are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from libs.topics.identity import NAME
from libs.topics.messages.presence import ConnectionObserved

from .common import Unfit, address_of_peer, client_id_of, decoded, millis

_CLIENT = re.compile(rf"(?P<product_id>{NAME.pattern})@@@(?P<device_id>{NAME.pattern})")


class Told(msgspec.Struct, rename="camel"):
    client_id: str
    time: int
    """Seconds where it has at most 10 digits, else milliseconds."""
    event_type: Literal["connect", "disconnect", "tcpclean"]
    channel_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    client_ip: str | None = None


_told = msgspec.json.Decoder(Told)


def aliyun(payload: bytes, name: str, packet_id: int, now: int) -> ConnectionObserved:
    """``name``: of the instance, as whoever relays the events calls it. Raises `Unfit`."""
    event = decoded(_told, payload)
    client = _CLIENT.fullmatch(client_id_of(event.client_id))
    if client is None:
        raise Unfit("invalid_client", "the client id is not {group id}@@@{device id}, each a name")
    return ConnectionObserved(
        product_id=client["product_id"],
        device_id=client["device_id"],
        client_id=event.client_id,
        channel_id=event.channel_id,
        event=event.event_type,
        time=millis(event.time, "time"),
        source=f"aliyun:{name}",
        sequence=packet_id,
        client_ip=address_of_peer(event.client_ip),
        ingested_at=now,
    )
