"""MQTT topic filters, for tests."""

from __future__ import annotations


def covers(pattern: str, topic: str) -> bool:
    """Whether a filter matches a topic."""
    wanted, levels = pattern.split("/"), topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or level not in {"+", levels[at]}:
            return False
    return len(wanted) == len(levels)
