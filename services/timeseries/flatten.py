"""From a JSON payload to metrics by path. Pure.

Objects recurse with dots, arrays with indexes: ``{"cells": [{"v": 3.9}]}`` has the metric ``cells[0].v``. A payload
that is itself a number or a text has the key `ROOT`. Null has no value and gives nothing. What exceeds a bound is left
out and counted by reason: the raw event has it all. Two members whose paths read the same
(``{"a.b": 1, "a": {"b": 2}}``) give two values of that metric. A time of the device's own that is believed is
the time of its metrics and not one of them; see `device_time`.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from . import device_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = "value"

MAX_DEPTH: Final = 8
"""Objects and arrays inside each other."""
MAX_LEAVES: Final = 512
"""Values of one payload."""
MAX_INDEX: Final = 64
"""Elements of one array."""
MAX_KEY: Final = 256
"""Characters of a path."""
MAX_TEXT: Final = 1024
"""Characters of a text value."""

LARGEST: Final = int(sys.float_info.max)
SMALLEST: Final = -LARGEST
"""Whole numbers of JSON may have any size, a Float64 may not."""

_decode = msgspec.json.Decoder().decode


class Metrics:
    """Metrics of many payloads as columns."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.values: list[float] = []
        self.text_keys: list[str] = []
        self.texts: list[str] = []
        self.left_out: Counter[str] = Counter()
        """Reason to number: ``unreadable`` payloads, ``too_many`` (payloads that were cut), and single values that are
        ``too_deep``, ``index_too_large``, ``key_too_long``, ``text_too_long`` or ``number_too_large``."""
        self.clocks: Counter[str] = Counter()
        """Verdict to number of the devices' own times, except those that are on time."""

    def add(self, payload: bytes, received_at: int) -> tuple[int, int | None]:
        """Add one JSON payload; return (time of its metrics, time that the device gave), both in milliseconds."""
        said, ts = None, received_at
        try:
            document = _decode(payload)
        except (msgspec.DecodeError, RecursionError):
            # Valid JSON that has no representation: 1e999, half a surrogate pair, thousands of brackets.
            self.left_out["unreadable"] += 1
            return ts, said
        last = len(self.keys) + len(self.text_keys) + MAX_LEAVES
        if type(document) is dict:
            if document.get(device_time.MEMBER) is not None:
                ts, said = self._date(document, received_at)
            complete = self._add("", document.items(), 1, last)
        elif type(document) is list:
            complete = self._add("", self._elements(document), 1, last)
        else:
            complete = self._add("", ((ROOT, document),), 0, last)
        if not complete:
            self.left_out["too_many"] += 1
        return ts, said

    def _date(self, document: dict[str, Any], received_at: int) -> tuple[int, int | None]:
        """Take the device's time out of ``document`` if it is believed; return the same as `add`."""
        said, verdict = device_time.judge(document[device_time.MEMBER], received_at)
        if verdict:
            self.clocks[verdict] += 1
        if said is None or verdict not in device_time.BELIEVED:
            return received_at, said
        del document[device_time.MEMBER]
        return said, said

    def _add(self, prefix: str, members: Iterable[tuple[str, Any]], depth: int, last: int) -> bool:
        """Add the members of an object or array at ``prefix``, which is the ``depth``-th around them.

        False when there are ``last`` values and one more was found. One loop without calls for the scalars: this is
        where the sink spends its time.
        """
        keys, values, text_keys = self.keys, self.values, self.text_keys
        for name, value in members:
            kind = type(value)
            key = prefix + name
            if kind is dict or kind is list:
                if not self._add_inner(key, value, depth, last):
                    return False
            elif value is not None:
                if len(keys) + len(text_keys) == last:
                    return False
                reason = _fault(kind, value) if len(key) <= MAX_KEY else "key_too_long"
                if reason:
                    self.left_out[reason] += 1
                elif kind is str:
                    text_keys.append(key)
                    self.texts.append(value)
                else:
                    keys.append(key)
                    values.append(value)
        return True

    def _add_inner(self, key: str, value: dict[str, Any] | list[Any], depth: int, last: int) -> bool:
        if depth == MAX_DEPTH:
            self.left_out["too_deep"] += 1
            return True
        if isinstance(value, dict):
            return self._add(f"{key}.", value.items(), depth + 1, last)
        return self._add(key, self._elements(value), depth + 1, last)

    def _elements(self, array: list[Any]) -> Iterator[tuple[str, Any]]:
        if len(array) > MAX_INDEX:
            self.left_out["index_too_large"] += len(array) - MAX_INDEX
        for index, element in enumerate(array[:MAX_INDEX]):
            yield f"[{index}]", element


def _fault(kind: type, value: Any) -> str:
    """Say why a scalar cannot be kept, if so."""
    if kind is int:
        return "" if SMALLEST <= value <= LARGEST else "number_too_large"
    return "text_too_long" if kind is str and len(value) > MAX_TEXT else ""
