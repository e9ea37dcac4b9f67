"""The shadow service without Kafka: one partition, its inbox, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from libs.runtime.lane.rows import Codec
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.base import ReplyTo
from libs.topics.messages.downlink import PublishMessage
from libs.topics.messages.hub import RequestAnswered, RequestRefused
from libs.topics.messages.shadow_changes import ShadowDocument
from services.shadow.fold import Event
from services.shadow.lives import deadline
from services.shadow.model import Entry, Product
from services.shadow.reference import fold_reference, sum_up
from services.shadow.step import Broadcast, Message, step
from services.shadow.views import terms
from tests.support.partition import Partition, Service
from tests.support.shadow.asking import KEY, T0, delete_device, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.runtime.lane.model import Output
    from libs.shadow.document import Document
    from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged

decode: Decoder[Any] = Decoder(Message)
decode_event: Decoder[Any] = Decoder(Event)
decode_publish: Decoder[PublishMessage] = Decoder(PublishMessage)
decode_answer: Decoder[Any] = Decoder(RequestAnswered | RequestRefused)

SERVICE = Service(
    inbox=names.SHADOW_INBOX,
    codec=Codec(Entry, int, Product),
    decode=decode,
    broadcasts=Broadcast,
    step=step,
    fold_reference=fold_reference,
    sum_up=sum_up,
    terms=terms,
    deadline=deadline,
)


class Hub(Partition[Entry, Product]):
    """``registered``: the device ``p1/d1`` is there from the beginning."""

    def __init__(self, *, registered: bool = True) -> None:
        super().__init__(SERVICE, T0)
        if registered:
            self.write(register())

    def ask(self, message: ChangeDesired | PatchTagged) -> Any:
        """Write a request, and return its one answer."""
        said = self.write(replace(message, reply_to=ReplyTo(3, "c1")))
        (answer,) = [decode_answer(value) for topic, _, value, _ in said if topic == names.API_REPLIES]
        return answer

    def relive(self) -> None:
        """Delete the device and register another one of its name."""
        version = self.row.registry_version
        self.write(delete_device(version=version + 1))
        self.write(register(version=version + 2))

    # -- what came of it
    @property
    def row(self) -> Entry:
        return self.rows[KEY]

    @property
    def classic(self) -> Document:
        assert self.row.classic is not None
        return self.row.classic

    def events(self, key: bytes = KEY) -> list[Any]:
        return [decode_event(value) for value in self.said(names.SHADOW_EVENTS, key)]

    def documents(self) -> dict[bytes, ShadowDocument]:
        """The compacted topic."""
        newest = {of: value for topic, of, value in self.log if topic == names.SHADOW_DOCUMENTS}
        return {of: msgspec.json.decode(value, type=ShadowDocument) for of, value in newest.items() if of and value}

    def told(self, key: bytes = KEY) -> list[PublishMessage]:
        """All that was said to a device."""
        return published([(topic, of, value, -1) for topic, of, value in self.log if of == key])


def published(outputs: Sequence[Output]) -> list[PublishMessage]:
    return [decode_publish(value) for topic, _, value, _ in outputs if topic == names.DOWNLINK_MESSAGES]
