"""``.../devices/{device_id}/messages``: what one device gets without a subscription of its own."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from libs.topics import p2p
from libs.topics.codec import encode
from libs.topics.identity import device_key
from libs.topics.messages.downlink import SendToClient
from libs.topics.names import APP_P2P
from services.api import command_examples as examples
from services.api import devices
from services.api.access import needs
from services.api.asking import Asker
from services.api.command_documents import MessageTaken, NewMessage
from services.api.describe import described
from services.api.params import DeviceId, ProductId
from services.api.payloads import carried
from services.api.problems import FieldError, Problem, busy
from services.api.uplink import NotDelivered


@post(
    "/messages",
    summary="Send a message to one device",
    operation_id="send_message",
    guards=[needs("command")],
    status_code=202,
    opt=described(
        problems=("unknown_product", "unknown_device", "payload_too_large"),
        request=examples.NEW_MESSAGE,
        answer=examples.MESSAGE,
    ),
)
async def send_message(
    request: Request[Any, Any, Any],
    data: JSONBody[NewMessage],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
) -> MessageTaken:
    """Publish a message for one device on `{topic}/p2p/{product}/{device}`.

    202 means that Kafka has it. Nothing waits for a device that is offline, and nobody tells what became of it. A
    repetition with the same `Idempotency-Key` has the same `message_id`, and is published again.
    """
    if fault := p2p.topic_fault(data.topic, product_id):
        said = f"the topic {fault}"
        raise Problem("invalid_request", f"topic: {said}", errors=(FieldError("topic", "body", said),))
    encoding, payload = carried(data, await request.body())
    await devices.read(asker.hub, product_id, device_id)
    message_id = asker.request_id("m", f"{product_id}/{device_id}")
    message = SendToClient(
        product_id,
        device_id,
        f"{product_id}/{device_id}",
        data.topic,
        message_id,
        encoding,
        payload,
        **{**asker.stamp(), "idempotency": None},
    )
    try:
        await asker.hub.uplink.send(APP_P2P, device_key(product_id, device_id), encode(message))
    except NotDelivered as error:
        raise busy("no_answer", str(error)) from error
    return MessageTaken(message_id)


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}", route_handlers=[send_message], tags=["commands"]
)
