"""What the ledger's public log says of a product's commands, each step once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from libs.topics import names
from tests.support.records import read_all

if TYPE_CHECKING:
    from devstack.stack import Stack

ENDS = frozenset({"command_replied", "command_ended"})


class Books:
    """``steps``: by device and request id."""

    def __init__(self, stack: Stack, product: str) -> None:
        self.steps: dict[tuple[str, str], list[dict[str, Any]]] = {}
        prefix = f"{product}/".encode()
        written: dict[str, bytes] = {}
        for record in read_all(stack.kafka, names.COMMANDS_EVENTS):
            if record.value is None or not (record.key or b"").startswith(prefix):
                continue
            event = record.message
            known = written.setdefault(event["id"], record.value)
            if known is not record.value:
                assert known == record.value, f"{event['id']} was written again, and differs"
            elif "request_id" in event:
                self.steps.setdefault((event["device_id"], event["request_id"]), []).append(event)

    def states(self) -> dict[tuple[str, str], str]:
        """How each command ended; of those that did not, the last step."""
        return {which: self._state(steps) for which, steps in self.steps.items()}

    @staticmethod
    def _state(steps: list[dict[str, Any]]) -> str:
        end = next((step for step in steps if step["type"] in ENDS), steps[-1])
        return str(end.get("outcome", end["type"].removeprefix("command_")))

    def faults(self) -> list[str]:
        """Commands that did not begin once and end once, with nothing but late replies after it."""
        found = []
        for which, steps in self.steps.items():
            kinds = [step["type"] for step in steps]
            ends = [number for number, kind in enumerate(kinds) if kind in ENDS]
            whole = kinds[0] == "command_accepted" and kinds.count("command_accepted") == 1 and len(ends) == 1
            if not whole or set(kinds[ends[0] + 1 :]) - {"late_reply_recorded"}:
                found.append(f"{which}: {kinds}")
        return found

    def attempts(self, device: str) -> Counter[str]:
        """How often each command of a device was given to the broker."""
        return Counter(
            request_id
            for (name, request_id), steps in self.steps.items()
            for step in steps
            if name == device and step["type"] == "command_sent"
        )


def last_sessions(stack: Stack, product: str) -> dict[str, str]:
    """Of each device, what the ledger's inbox said last of its session: all that is asked from now on comes behind."""
    return {
        record.message["device_id"]: record.message["new"]
        for record in read_all(stack.kafka, names.COMMANDS_INBOX)
        if (record.key or b"").startswith(f"{product}/".encode()) and record.message["type"] == "presence_changed"
    }


def enlisted(stack: Stack, product: str) -> set[str]:
    """Devices that the ledger's inbox has been told of by the registry."""
    return {
        record.message["device_id"]
        for record in read_all(stack.kafka, names.COMMANDS_INBOX)
        if (record.key or b"").startswith(f"{product}/".encode()) and record.message["type"] == "device_registered"
    }
