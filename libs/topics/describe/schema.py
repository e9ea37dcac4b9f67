"""One JSON Schema (draft 2020-12) per message type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from . import words

if TYPE_CHECKING:
    from libs.topics.messages.base import Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def of(kind: type[Message]) -> dict[str, Any]:
    """The schema of one message, with the words of the sources. Fields that it does not name are allowed."""
    (root,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    structs = {part.__name__: part for part in _structs(kind)}
    described = {name: _described(part, structs[name]) for name, part in parts.items()}
    schema = {"$schema": DIALECT, **described.pop(root["$ref"].rsplit("/", 1)[-1])}
    if described:
        schema["$defs"] = dict(sorted(described.items()))
    plain: dict[str, Any] = json.loads(json.dumps(schema))  # tuples become lists
    return plain


def form(schema: Any) -> Any:
    """A schema without its words and defaults: what must stay compatible."""
    if isinstance(schema, list):
        return [form(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: form(part) for name, part in value.items()} if key in ("properties", "$defs") else form(value)
        for key, value in schema.items()
        if key not in ("description", "title", "default")
    }


def _described(part: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    fields = words.of_fields(kind)
    properties = {
        name: {"description": fields[name], **field} if name in fields else field
        for name, field in part["properties"].items()
    }
    about = words.of_type(kind)
    head = {"title": part["title"], **({"description": about} if about else {})}
    return {**head, "type": "object", "properties": properties, "required": part.get("required", [])}


def _structs(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A struct and all structs inside it."""
    found: list[type[msgspec.Struct]] = []
    _visit(msgspec.inspect.type_info(kind), found)
    return found


def _visit(info: msgspec.inspect.Type, found: list[type[msgspec.Struct]]) -> None:
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls not in found:
            found.append(info.cls)
            for field in info.fields:
                _visit(field.type, found)
    elif isinstance(info, msgspec.inspect.UnionType):
        for part in info.types:
            _visit(part, found)
    elif isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        _visit(info.item_type, found)
    elif isinstance(info, msgspec.inspect.DictType):
        _visit(info.value_type, found)
