"""Each kind of breaking change is reported, each allowed one is not."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from libs.topics.catalog import TOPICS
from libs.topics.compatibility import breaking
from libs.topics.describe import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Schema = dict[str, Any]

OLD: Schema = {
    "type": "object",
    "properties": {
        "type": {"enum": ["door_opened"]},
        "door": {"type": "string", "maxLength": 64},
        "count": {"type": "integer"},
        "load": {"type": "number"},
        "side": {"enum": ["left", "right"]},
        "by": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "where": {"$ref": "#/$defs/Place"},
        "seen": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "default": None},
        "tags": {"type": "array", "items": {"type": "string"}},
        "free": {"type": "object"},
        "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
        "payload": {},
    },
    "required": ["type", "door", "count", "side", "where"],
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {
                "floor": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
            },
            "required": ["floor"],
        }
    },
}

Change = tuple[str, "Callable[[Schema], object]", str]


def put(path: str, value: Any) -> Callable[[Schema], object]:
    """Set what stands at a dotted path."""
    *way, last = path.split(".")

    def change(whole: Schema) -> None:
        part = whole
        for step in way:
            part = part[step]
        part[last] = value

    return change


def drop(path: str) -> Callable[[Schema], object]:
    *way, last = path.split(".")

    def change(whole: Schema) -> object:
        part = whole
        for step in way:
            part = part[step]
        return part.pop(last)

    return change


P = "properties"
PLACE = "$defs.Place"
BREAKING: list[Change] = [
    ("removed field", drop(f"{P}.door"), "field door was removed"),
    ("removed nested field", drop(f"{PLACE}.{P}.floor"), "field where.floor was removed"),
    (
        "new required field",
        lambda s: s[P].update(at={"type": "integer"}) or s["required"].append("at"),
        "field at is required now",
    ),
    ("optional becomes required", lambda s: s["required"].append("load"), "field load is required now"),
    ("nested required", lambda s: s["$defs"]["Place"]["required"].append("next"), "field where.next is required now"),
    ("required becomes optional", lambda s: s["required"].remove("door"), "field door may be missing now"),
    ("changed type", put(f"{P}.count", {"type": "string"}), "field count was integer and is now string"),
    ("number to integer", put(f"{P}.load", {"type": "integer"}), "field load was number and is now integer"),
    ("text to object", put(f"{P}.door", {"$ref": "#/$defs/Place"}), "field door was string and is now object"),
    ("nested type", put(f"{PLACE}.{P}.floor", {"type": "string"}), "field where.floor was integer and is now string"),
    ("null refused", put(f"{P}.by", {"type": "string"}), "field by does not take null any more"),
    ("text refused", put(f"{P}.by", {"type": "null"}), "field by does not take string any more"),
    ("nested null refused", put(f"{P}.seen", {"$ref": "#/$defs/Place"}), "field seen does not take null any more"),
    ("narrowed enum", put(f"{P}.side", {"enum": ["left"]}), "field side does not take ['right'] any more"),
    ("text to enum", put(f"{P}.door", {"enum": ["a"]}), "field door took any string and is now one of ['a']"),
    ("enum to number", put(f"{P}.side", {"type": "integer"}), "field side was an enumeration and is now integer"),
    (
        "changed tag",
        put(f"{P}.type", {"enum": ["door_closed"]}),
        "the message's type was 'door_opened' and is now 'door_closed'",
    ),
    (
        "items",
        put(f"{P}.tags", {"type": "array", "items": {"type": "integer"}}),
        "items of field tags was string and is now integer",
    ),
    ("any to typed", put(f"{P}.payload", {"type": "string"}), "field payload took any value and is now restricted"),
    (
        "tighter limit",
        put(f"{P}.door", {"type": "string", "maxLength": 32}),
        "field door is restricted: maxLength was 64 and is now 32",
    ),
    (
        "new limit",
        put(f"{P}.count", {"type": "integer", "minimum": 1}),
        "field count is restricted: minimum was None and is now 1",
    ),
    (
        "new pattern",
        put(f"{P}.door", {"type": "string", "pattern": "^a"}),
        "field door is restricted: pattern was None and is now ^a",
    ),
    ("closed", lambda s: s.update(additionalProperties=False), "message took further fields and does not any more"),
    (
        "typed values",
        put(f"{P}.free", {"type": "object", "additionalProperties": {"type": "string"}}),
        "values of field free took any value and is now restricted",
    ),
    (
        "other values",
        put(f"{P}.limits", {"type": "object", "additionalProperties": {"type": "string"}}),
        "values of field limits was integer and is now string",
    ),
]
ALLOWED: list[tuple[str, Callable[[Schema], object]]] = [
    ("new optional field", lambda s: s[P].update(at={"type": "integer"})),
    ("new optional nested field", lambda s: s["$defs"]["Place"][P].update(room={"type": "string"})),
    ("integer to number", put(f"{P}.count", {"type": "number"})),
    ("null allowed", put(f"{P}.door", {"anyOf": [{"type": "string"}, {"type": "null"}]})),
    ("another enum value", put(f"{P}.side", {"enum": ["left", "middle", "right"]})),
    ("enum to text", put(f"{P}.side", {"type": "string"})),
    ("typed to any", put(f"{P}.door", {})),
    ("typed to any or null", put(f"{P}.door", {"anyOf": [{}, {"type": "null"}]})),
    ("another alternative", put(f"{P}.by", {"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "integer"}]})),
    ("looser limit", put(f"{P}.door", {"type": "string", "maxLength": 128})),
    ("no limit", put(f"{P}.door", {"type": "string"})),
    ("values of any type", put(f"{P}.limits", {"type": "object"})),
    ("words", put(f"{P}.door", {"type": "string", "maxLength": 64, "description": "Which door.", "default": "main"})),
    ("inlined definition", put(f"{P}.where", OLD["$defs"]["Place"])),
]


@pytest.mark.parametrize(("change", "sentence"), [c[1:] for c in BREAKING], ids=[c[0] for c in BREAKING])
def test_a_breaking_change_is_said_in_one_sentence(change: Callable[[Schema], object], sentence: str) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert sentence in breaking(OLD, new)


@pytest.mark.parametrize("change", [c[1] for c in ALLOWED], ids=[c[0] for c in ALLOWED])
def test_an_allowed_change_is_not_reported(change: Callable[[Schema], object]) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert new != OLD
    assert breaking(OLD, new) == []


def test_two_changes_are_two_sentences() -> None:
    new = copy.deepcopy(OLD)
    del new[P]["load"]
    new[P]["count"] = {"type": "boolean"}
    assert breaking(OLD, new) == ["field load was removed", "field count was integer and is now boolean"]


KINDS = sorted({kind for topic in TOPICS for kind in topic.types}, key=lambda kind: kind.__name__)
SCHEMAS = [schema.of(kind) for kind in KINDS]
EACH_SCHEMA = pytest.mark.parametrize("released", SCHEMAS, ids=lambda content: content["title"])


def objects(whole: Schema) -> Iterator[Schema]:
    """Every place of a schema that has properties."""
    yield whole
    yield from whole.get("$defs", {}).values()


@EACH_SCHEMA
def test_a_schema_is_compatible_with_itself_and_with_its_bare_form(released: Schema) -> None:
    assert breaking(released, released) == []
    assert breaking(schema.form(released), released) == []
    assert breaking(released, schema.form(released)) == []


@EACH_SCHEMA
def test_no_field_of_a_real_schema_can_go_or_change_its_type_unnoticed(released: Schema) -> None:
    for place, part in enumerate(objects(released)):
        for name in part["properties"]:
            gone, changed, required = (copy.deepcopy(released) for _ in range(3))
            del list(objects(gone))[place]["properties"][name]
            list(objects(changed))[place]["properties"][name] = {"type": "object", "properties": {}, "required": ["x"]}
            list(objects(required))[place]["required"].append("brand_new")
            for new in (gone, changed, required):
                assert breaking(released, new), (name, new)


@EACH_SCHEMA
def test_no_enum_of_a_real_schema_can_lose_a_value_unnoticed(released: Schema) -> None:
    for place, part in enumerate(objects(released)):
        for name, field in part["properties"].items():
            if "enum" in field:
                new = copy.deepcopy(released)
                list(objects(new))[place]["properties"][name]["enum"] = [*field["enum"][1:], "another"]
                assert breaking(released, new)
