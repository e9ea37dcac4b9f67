"""ClickHouse's errors: numbers, names and the HTTP status that each is answered with.

Source: ``src/Common/ErrorCodes.cpp`` and ``exceptionCodeToHTTPStatus`` of ClickHouse.
"""

from __future__ import annotations

import re
from typing import Final

NUMBER = re.compile(r"Code: (\d+)\.")

UNKNOWN_FORMAT: Final = (73, "UNKNOWN_FORMAT")
BAD_ARGUMENTS: Final = (36, "BAD_ARGUMENTS")
NOT_IMPLEMENTED: Final = (48, "NOT_IMPLEMENTED")
SYNTAX_ERROR: Final = (62, "SYNTAX_ERROR")
UNKNOWN_SETTING: Final = (115, "UNKNOWN_SETTING")
TOO_MANY_QUERIES: Final = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
CANNOT_DECOMPRESS: Final = (271, "CANNOT_DECOMPRESS")
SUPPORT_IS_DISABLED: Final = (344, "SUPPORT_IS_DISABLED")
AUTHENTICATION_FAILED: Final = (516, "AUTHENTICATION_FAILED")

UNKNOWN_EXCEPTION = 1002

STATUS = {
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 43, 53, 62, 69, 70, 72, 130, 131, 271, 456, 457), 400),
    **dict.fromkeys((192, 193, 516), 403),
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 63, 73, 81, 115), 404),
    159: 408,
    **dict.fromkeys((202, 203, 209), 503),
    48: 501,
    344: 501,
}
"""Anything else is 500."""


class ClickHouseError(Exception):
    """An error in ClickHouse's own words, whoever found it: the engine or this server."""

    def __init__(self, kind: tuple[int, str], message: str) -> None:
        super().__init__(f"Code: {kind[0]}. DB::Exception: {message} ({kind[1]})")
        self.code = kind[0]

    @classmethod
    def of_engine(cls, text: str) -> ClickHouseError:
        """From the text of an error of chDB, which begins with ``Code: <number>.``."""
        error = cls.__new__(cls)
        Exception.__init__(error, text)
        found = NUMBER.search(text)
        error.code = int(found[1]) if found else UNKNOWN_EXCEPTION
        return error

    @property
    def status(self) -> int:
        """The HTTP status that a ClickHouse server answers it with."""
        return STATUS.get(self.code, 500)
