"""What is said to a device, and on which topics. Pure.

Named shadows have commands of their own, whatever the device speaks: one that knows a single shadow would take theirs
for that one's. No message expires: what a device missed it is told again, as one document, when it is online.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from libs.topics import catalog, names
from libs.topics.codec import encode
from libs.topics.messages.downlink import PublishMessage

from . import aliyun, iothub

if TYPE_CHECKING:
    from libs.runtime.lane.model import At, Output
    from libs.shadow.document import Document
    from libs.shadow.trees import Tree
    from libs.topics.messages.shadow_changes import Via

    from .model import Speech

Command: TypeAlias = Literal["$update_shadow", "$shadow_reply"]

UPDATE: Final = "$update_shadow"
REPLY: Final = "$shadow_reply"
NAMED: Final[dict[Command, str]] = {UPDATE: "$update_named_shadow", REPLY: "$named_shadow_reply"}

FORMS: Final = {"device_first": "/shadow/{}/get", "verb_first": "/shadow/get/{}"}
"""Where a device of the Aliyun dialect listens, by the form of its topics."""

CONFLICT: Final = "version_conflict"


def accepted(
    at: At, via: Via, speech: Speech | None, shadow: str | None, document: Document, *, n: int
) -> tuple[Output, ...]:
    """Answer a change that was made; ``document`` is what it made. ``n``: of the first output, for `At.id`."""
    if via == "aliyun":
        return _aliyun(at, speech, aliyun.accepted(document, at.timestamp), n)
    return _command(at, REPLY, shadow, iothub.accepted(document, at.timestamp, _form(via), shadow), n)


def refused(
    at: At, via: Via, speech: Speech | None, shadow: str | None, document: Document, *, n: int, code: str, detail: str
) -> tuple[Output, ...]:
    """Answer a change that was not made. IoTHub's and native devices get the document on ``version_conflict``."""
    if via == "aliyun":
        return _aliyun(at, speech, aliyun.refused(code, detail, at.timestamp), n)
    if code == CONFLICT:
        return whole(at, via, speech, shadow, document, n=n)
    return _command(at, REPLY, shadow, iothub.refused(code, document, at.timestamp, _form(via), shadow), n)


def whole(
    at: At, via: Via, speech: Speech | None, shadow: str | None, document: Document, *, n: int
) -> tuple[Output, ...]:
    """Answer a device that asked for the document."""
    if via == "aliyun":
        return _aliyun(at, speech, aliyun.whole(document, at.timestamp), n)
    return _command(at, UPDATE, shadow, iothub.whole(document, _form(via), shadow), n)


def changed(at: At, speech: Speech | None, shadow: str | None, document: Document, *, n: int) -> tuple[Output, ...]:
    """Tell what is desired and not reported, in the dialect spoken last; in all of them until one is known."""
    if shadow is not None:
        return _command(at, UPDATE, shadow, iothub.whole(document, "native", shadow), n)
    if speech is None:
        told = _aliyun(at, None, aliyun.control(document, at.timestamp), n)
        return (*told, *_command(at, UPDATE, None, iothub.whole(document), n + len(told)))
    if speech.dialect == "aliyun":
        return _aliyun(at, speech, aliyun.control(document, at.timestamp), n)
    return _command(at, UPDATE, None, iothub.whole(document, speech.dialect), n)


def _form(via: Via) -> iothub.Form:
    return "native" if via == "native" else "iothub"


def _aliyun(at: At, speech: Speech | None, payload: Tree, n: int) -> tuple[Output, ...]:
    """Say it on the form of the topics that the device used last; on both until that is known."""
    used = None if speech is None else speech.form
    told = msgspec.Raw(encode(payload))
    device = at.key.decode()
    topics = [topic.format(device) for form, topic in FORMS.items() if used in {None, form}]
    return tuple([output for i, topic in enumerate(topics, n) for output in _publish(at, topic, told, i)])


def _command(at: At, name: Command, shadow: str | None, payload: Tree, n: int) -> tuple[Output, ...]:
    """Make a command of the hub. Its request id is that of no other command to the device, and the same on a replay."""
    command = name if shadow is None else NAMED[name]
    topic = f"cmd/{at.key.decode()}/{command}/plain/shadow-{at.partition}-{at.offset}-{n}"
    return _publish(at, topic, msgspec.Raw(encode(payload)), n)


def _publish(at: At, topic: str, payload: msgspec.Raw, n: int) -> tuple[Output, ...]:
    product_id, _, device_id = at.key.decode().partition("/")
    message = PublishMessage(
        id=at.id(n),
        product_id=product_id,
        device_id=device_id,
        tag=None,
        topic=topic,
        qos=1,
        encoding="json",
        payload=payload,
        expires_at=None,
        content_type="application/json",
        request_id=None,
        at=at.timestamp,
    )
    return catalog.publish(names.DOWNLINK_MESSAGES, at.key, message)
