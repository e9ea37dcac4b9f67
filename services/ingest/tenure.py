"""Until when this process certainly holds its shards.

Kafka gives a shard to another replica when the group has not heard of its holder for the group's session time-out. The
holder must know that moment without being told, since it may have been frozen or cut off when it came: each proof that
Kafka still counts it as a member, a commit that the group accepted, allows it to go on for a part of that time, counted
from before it asked. Whoever wakes up after that takes nothing, sends nothing and connects to nothing.
"""

from __future__ import annotations

import math
import time
from typing import Final

HELD: Final = 0.8
"""Part of the session time-out for which one proof counts."""
QUEUED: Final = 0.9
"""Part of it after which a record that waits in the producer is given up. A process that is frozen while its records
wait cannot hold them back when it goes on, but the client looks at their age before it sends them. Must leave room for
one heartbeat, from which Kafka counts."""
HEARTBEAT: Final = 0.05
"""Part of it between two heartbeats, at most."""
PROOF: Final = 0.05
"""Part of it between two proofs, at most."""


class Tenure:
    """Written by the group's thread, read on the loop's: one number."""

    __slots__ = ("until",)

    def __init__(self, until: float = -math.inf) -> None:
        self.until = until
        """Monotonic seconds."""

    def over(self) -> bool:
        return time.monotonic() >= self.until
