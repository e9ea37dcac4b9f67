"""Which changes of a message's schema would break somebody.

Records live as long as their topic keeps them: whoever reads by the new schema must understand every old message, and
whoever reads by the old one must find every field that it was promised. Allowed are new optional fields, wider types
and further enum values, since consumers are deployed before producers. Everything else is named here.

The schemas are those that `describe.schema` makes; other keywords of JSON Schema are compared for equality.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

LOWER_BOUNDS: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
UPPER_BOUNDS: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
STRUCTURE: Final = frozenset(
    {"type", "enum", "anyOf", "properties", "required", "items", "additionalProperties", "$ref", "$defs", "$schema"}
)
WORDS: Final = frozenset({"title", "description", "default", "examples"})


def breaking(old: Schema, new: Schema) -> list[str]:
    """One sentence per change that breaks a reader; empty where all is well."""
    return _Comparison(old, new).differences(old, new, "message", frozenset())


class _Comparison:
    """Two whole schemas, needed to follow references."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new

    def differences(self, old: Schema, new: Schema, where: str, seen: frozenset[str]) -> list[str]:
        reference = old.get("$ref")
        if reference is not None and reference in seen:
            return []  # a recursive type: compared further up
        seen |= {reference} if reference else frozenset()
        old, new = _resolve(old, self._old), _resolve(new, self._new)
        if _is_any(new):
            return []
        if _is_any(old):
            return [f"{where} took any value and is now restricted"]
        if "anyOf" in old or "anyOf" in new:
            return self._alternatives(old, new, where, seen)
        return [
            *_kinds(old, new, where),
            *self._objects(old, new, where, seen),
            *self._arrays(old, new, where, seen),
            *_bounds(old, new, where),
        ]

    def _alternatives(self, old: Schema, new: Schema, where: str, seen: frozenset[str]) -> list[str]:
        """Whatever was allowed must still be allowed by one of the new alternatives."""
        offers = [_resolve(offer, self._new) for offer in new.get("anyOf", [new])]
        found: list[str] = []
        for case in old.get("anyOf", [old]):
            verdicts = [self.differences(case, offer, where, seen) for offer in offers]
            if all(verdicts):
                found += _closest(_resolve(case, self._old), offers, verdicts, where)
        return found

    def _objects(self, old: Schema, new: Schema, where: str, seen: frozenset[str]) -> list[str]:
        before: Schema = old.get("properties", {})
        after: Schema = new.get("properties", {})
        found = [f"{_field(where, name)} was removed" for name in before if name not in after]
        found += [
            f"{_field(where, name)} is required now"
            for name in new.get("required", [])
            if name not in old.get("required", [])
        ]
        found += [
            f"{_field(where, name)} may be missing now"
            for name in old.get("required", [])
            if name in after and name not in new.get("required", [])
        ]
        for name in before:
            if name in after:
                found += self.differences(before[name], after[name], _field(where, name), seen)
        return found + self._values(old, new, where, seen)

    def _values(self, old: Schema, new: Schema, where: str, seen: frozenset[str]) -> list[str]:
        """The values of a free object, a ``dict``; absent and true both allow everything."""
        before, after = (part.get("additionalProperties", True) for part in (old, new))
        if after is True:
            return []
        if after is False:
            return [] if before is False else [f"{where} took further fields and does not any more"]
        return self.differences(before if isinstance(before, dict) else {}, after, f"values of {where}", seen)

    def _arrays(self, old: Schema, new: Schema, where: str, seen: frozenset[str]) -> list[str]:
        if "items" not in new:
            return []
        return self.differences(old.get("items", {}), new["items"], f"items of {where}", seen)


def _kinds(old: Schema, new: Schema, where: str) -> list[str]:
    """Types and enumerations, which replace each other: an enumeration of texts may become any text."""
    if "enum" in new:
        if "enum" not in old:
            return [f"{where} took any {old.get('type')} and is now one of {new['enum']}"]
        missing = [value for value in old["enum"] if value not in new["enum"]]
        if missing and where == "field type":
            return [f"the message's type was {old['enum'][0]!r} and is now {new['enum'][0]!r}"]
        return [f"{where} does not take {missing} any more"] if missing else []
    if "enum" in old:
        texts = all(isinstance(value, str) for value in old["enum"])
        return (
            []
            if texts and new.get("type") == "string"
            else [f"{where} was an enumeration and is now {new.get('type')}"]
        )
    before, after = old.get("type"), new.get("type")
    widened = (before, after) == ("integer", "number")
    return [] if before == after or widened else [f"{where} was {before} and is now {after}"]


def _bounds(old: Schema, new: Schema, where: str) -> list[str]:
    """Limits may only be loosened; other keywords may only go."""
    found = []
    for word, limit in new.items():
        if word in STRUCTURE or word in WORDS:
            continue
        before = old.get(word)
        loosened = before is not None and (
            (word in LOWER_BOUNDS and limit <= before) or (word in UPPER_BOUNDS and limit >= before)
        )
        if not loosened and before != limit:
            found.append(f"{where} is restricted: {word} was {before} and is now {limit}")
    return found


def _closest(case: Schema, offers: list[Schema], verdicts: list[list[str]], where: str) -> list[str]:
    """Why no alternative takes the case any more: in detail where one of them is of the same kind."""
    for offer, verdict in zip(offers, verdicts, strict=True):
        if offer.get("type") == case.get("type") and ("enum" in offer) == ("enum" in case):
            return verdict
    return [f"{where} does not take {case.get('type', case.get('enum'))} any more"]


def _resolve(part: Schema, whole: Schema) -> Schema:
    while "$ref" in part:
        part = whole["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def _is_any(part: Schema) -> bool:
    """Takes every value: no keyword restricts it."""
    return not (part.keys() - WORDS) or any(_is_any(offer) for offer in part.get("anyOf", []))


def _field(where: str, name: str) -> str:
    return f"field {name}" if where == "message" else f"{where}.{name}"
