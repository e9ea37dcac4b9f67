"""What a change says of itself in the log."""

from __future__ import annotations

from libs.runtime.lane.model import At
from libs.topics import names
from services.shadow.changes import Changed, Wish, make
from services.shadow.model import Entry

NOW = 1_790_000_000_000


def changed(entry: Entry, wish: Wish, after: int) -> Changed:
    """Make a change so many milliseconds later, and keep what it leads to."""
    made = make(entry, wish, At(names.SHADOW_INBOX, 1, after, NOW + after, b"p1/d1"))
    assert isinstance(made, Changed)
    entry.classic = made.after
    return made


def test_a_change_says_since_when_the_oldest_field_pends() -> None:
    entry = Entry(product_id="p1")
    wishes = (
        Wish(None, "desired_changed", "api", "ops", desired={"a": 1}),
        Wish(None, "desired_changed", "api", "ops", desired={"b": 2}),
        Wish(None, "reported", "native", "device", reported={"a": 1}),
        Wish(None, "reported", "native", "device", reported={"b": 2}),
    )
    told = [changed(entry, wish, after).event.pending_since for after, wish in enumerate(wishes)]
    assert told == [NOW, NOW, NOW + 1, None]
