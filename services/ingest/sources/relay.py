"""Connection events that reach ingest by way of others: a rule that republishes, a small program behind a web-hook.

They come as the source made them, on ``fleetlog/connections/{form}/{name}``, where only the hub's own clients may
publish. ``name`` is a name for the source where the event itself has none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .aliyun import aliyun
from .common import Unfit, observe
from .emqx import rule_event, web_hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.topics.messages.presence import ConnectionObserved
    from services.ingest.model import Dropped, Parsed

FORMS: Final[dict[str, Callable[[bytes, str, int, int], ConnectionObserved | Dropped]]] = {
    "emqx-rule": rule_event,
    "emqx-hook": web_hook,
    "aliyun": aliyun,
}
PREFIX: Final = "fleetlog/connections/"
_TOPIC = re.compile(rf"{PREFIX}(?P<form>{'|'.join(FORMS)})/(?P<name>[A-Za-z0-9_-]{{1,56}})")


class Relay:
    prefixes = (PREFIX,)
    filters = (PREFIX + "+/+",)

    def __call__(self, topic: str, payload: bytes, packet_id: int, now: int) -> Parsed:
        return observe(lambda: _relayed(topic, payload, packet_id, now), topic, payload, packet_id, now)


def _relayed(topic: str, payload: bytes, packet_id: int, now: int) -> ConnectionObserved | Dropped:
    found = _TOPIC.fullmatch(topic)
    if found is None:
        raise Unfit("invalid_topic", f"this is not {PREFIX}{{form}}/{{name}} with a form of {', '.join(FORMS)}")
    return FORMS[found["form"]](payload, found["name"], packet_id, now)
