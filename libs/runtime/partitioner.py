"""Where a key lives: the same partition for every worker, producer and reader of the installation."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic of so many, as Java's client and `kafka.KEYED` producers choose it."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
