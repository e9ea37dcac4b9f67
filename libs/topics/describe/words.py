"""What the sources say about fields: the string under a field, which Python itself forgets."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cache
from typing import TYPE_CHECKING

from libs.topics.messages import base

if TYPE_CHECKING:
    from types import ModuleType

    import msgspec


def of_type(kind: type[msgspec.Struct]) -> str:
    """The docstring of a struct as one paragraph; empty where it has none."""
    return _paragraph(kind.__dict__.get("__doc__") or "")


def of_fields(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field name to its description, inherited fields included; fields without one are left out.

    A field whose annotation is one of the shared aliases (`Millis`, `Encoding`) also gets what the alias says.
    """
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if owner.__module__.startswith(base.__package__ or ""):
            found |= _fields(sys.modules[owner.__module__]).get(owner.__name__, {})
    return {name: found[name] for name in kind.__struct_encode_fields__ if name in found}


@cache
def _fields(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class name to field name to description, for all classes of a file."""
    classes = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
    return {node.name: _documented(node.body) for node in classes}


@cache
def _aliases() -> dict[str, str]:
    return _documented(ast.parse(inspect.getsource(base)).body, aliases=False)


def _documented(body: list[ast.stmt], *, aliases: bool = True) -> dict[str, str]:
    """Annotated names and the strings right under them."""
    found: dict[str, str] = {}
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        words = _string(following)
        if aliases:
            words = " ".join(filter(None, (words, *_alias_words(statement.annotation))))
        if words:
            found[statement.target.id] = words
    return found


def _alias_words(annotation: ast.expr) -> list[str]:
    named = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return [words for alias, words in _aliases().items() if alias in named]


def _string(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return _paragraph(str(statement.value.value))
    return ""


def _paragraph(text: str) -> str:
    """One line; what the sources put in code quotes stays in single ones."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).strip()
