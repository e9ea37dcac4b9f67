"""The one error of the dev stack that a user sees as a sentence instead of a traceback."""

from __future__ import annotations


class StackError(RuntimeError):
    """Something that the stack needs is missing, did not start or did not stop; the text says what to do."""
