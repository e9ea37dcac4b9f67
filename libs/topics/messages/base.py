"""What all messages share: one JSON object per Kafka record, told apart by its first field, ``type``."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Millis: TypeAlias = int
"""A moment: milliseconds since 1970-01-01T00:00:00Z."""

Encoding: TypeAlias = Literal["json", "base64"]
"""How ``payload`` holds a device's bytes: verbatim JSON, or a JSON string with their base64 form."""


class Message(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag=True):
    """Base of all messages. Unknown fields are ignored, so producers may add some; consumers deploy first."""
