"""What a device means by a message, whatever dialect it speaks: what dialects read, and rules decide about. Pure.

They are final, so that `type` tells them apart for the type checker too: an `isinstance` costs as much as decoding.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, final

import msgspec

from libs.shadow.trees import Tree
from libs.topics.messages.shadow_changes import Section, Via


@final
class Exact(msgspec.Struct, frozen=True, gc=False):
    """The document's version must be this one."""

    version: int


@final
class Newer(msgspec.Struct, frozen=True, gc=False):
    """This version must be greater than the document's: it is one that the device proposes."""

    version: int


@final
class ReportedExact(msgspec.Struct, frozen=True, gc=False):
    """The version at which reported was changed last must be this one, whatever became of desired since."""

    version: int


Condition: TypeAlias = Exact | Newer | ReportedExact | None
"""None: unconditional."""


@final
class Report(msgspec.Struct, frozen=True, gc=False):
    """The device says how it is, or takes back what was said or desired."""

    shadow: str | None
    via: Via
    condition: Condition
    reported: Tree | None
    """A merge patch."""
    cleared: tuple[Section, ...]
    """Emptied before the patch is applied."""
    cause: Literal["reported", "desired_cleared", "keys_deleted"]


@final
class Acknowledge(msgspec.Struct, frozen=True, gc=False):
    """All that was desired at this version is so: it becomes reported, and desired empty. Of the IoTHub dialect."""

    version: int


@final
class Fetch(msgspec.Struct, frozen=True, gc=False):
    """The device asks for the document."""

    shadow: str | None
    via: Via


@final
class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """What a dialect could not read. Nothing changes, and the device is told why."""

    shadow: str | None
    via: Via
    code: str
    """In the dialect's own terms: Aliyun's is its ``errorcode``."""
    detail: str


Intent: TypeAlias = Report | Acknowledge | Fetch | Unreadable
