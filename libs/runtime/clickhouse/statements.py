"""Cutting an SQL file into statements. Pure."""

from __future__ import annotations

import re
from typing import Final

_PIECE: Final = re.compile(
    r"""
      (?P<comment>  --[^\n]* | /\*.*?\*/ )
    | (?P<quoted>   '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
    | (?P<end>      ; )
    | (?P<broken>   /\* | ['"`] )
    | (?P<code>     [^-/'"`;]+ | [-/] )
    """,
    re.VERBOSE | re.DOTALL,
)


def split(text: str) -> list[str]:
    """Return the statements of ``text`` without comments, in order; a semicolon inside quotes ends none.

    Raises ValueError where a quote or a comment is not closed, or the last statement is not ended.
    """
    statements: list[str] = []
    open_statement: list[str] = []
    for piece in _PIECE.finditer(text):
        match piece.lastgroup:
            case "comment":
                open_statement.append(" ")  # two words with only a comment between them stay two words
            case "broken":
                line = text.count("\n", 0, piece.start()) + 1
                raise ValueError(f"line {line}: {piece.group()} is never closed")
            case "end":
                statements.append("".join(open_statement).strip())
                open_statement = []
            case _:
                open_statement.append(piece.group())
    if "".join(open_statement).strip():
        raise ValueError("the last statement does not end with a semicolon")
    return [statement for statement in statements if statement]
