"""File descriptors: every connection needs them, and most machines allow 1,024 unless asked for more."""

from __future__ import annotations

import resource

from .plan import CROWD

OTHERS = 200
"""Descriptors of everything that is not a device's connection."""
EACH_OF_FEW = 3
"""Descriptors of a connection as aiomqtt makes it: a socket, and a pair of them to wake its loop."""


class TooFewDescriptors(RuntimeError):
    """The machine does not let one process have so many connections."""


def needed(devices: int) -> int:
    return OTHERS + devices * (1 if devices >= CROWD else EACH_OF_FEW)


def allow(devices: int) -> None:
    """Raise this process's limit as far as a fleet needs it. Raises `TooFewDescriptors` where that is impossible."""
    count = needed(devices)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard) and hard < count:
        raise TooFewDescriptors(f"{devices} devices need {count} file descriptors, the limit is {hard} (`ulimit -Hn`)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
