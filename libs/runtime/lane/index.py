"""Indexes of one partition, derived from its rows: terms, deadlines, a tally and a listing.

Contract: after every slice an index equals the one recomputed from the rows (`Index.snapshot` of both).
Rows without any of them cost nothing here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from .listing import Listing
from .model import DeadlineOf, Due, TallyOf, Term, Terms, TermsOf
from .tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

BUCKET = 1000
"""Milliseconds of deadlines that share one bucket."""


class Deadlines:
    """Ordered set of (deadline, key); buckets keep the order list short."""

    def __init__(self) -> None:
        self.of: dict[bytes, int] = {}
        self._buckets: dict[int, set[bytes]] = {}
        self._order: list[int] = []

    def put(self, key: bytes, deadline: int | None) -> None:
        """Set the key's deadline; None: it has none."""
        old = self.of.get(key)
        if old == deadline:
            return
        if old is not None:
            self._drop(key, old)
        if deadline is None:
            del self.of[key]
            return
        self.of[key] = deadline
        bucket = deadline // BUCKET
        try:
            self._buckets[bucket].add(key)
        except KeyError:
            self._buckets[bucket] = {key}
            insort(self._order, bucket)

    def _drop(self, key: bytes, deadline: int) -> None:
        bucket = deadline // BUCKET
        keys = self._buckets[bucket]
        keys.discard(key)
        if not keys:
            del self._buckets[bucket]
            del self._order[bisect_left(self._order, bucket)]

    def due(self, now: int) -> list[bytes]:
        """Keys due at ``now``, earliest first; they stay until their row changes."""
        of, last = self.of, now // BUCKET
        buckets = self._order[: bisect_right(self._order, last)]
        found = [k for b in buckets for k in self._buckets[b] if b < last or of[k] <= now]
        found.sort(key=lambda k: (of[k], k))
        return found


class Index:
    """Terms, deadlines, tally and listing of one partition's rows."""

    def __init__(
        self,
        terms: TermsOf | None,
        deadline: DeadlineOf | None,
        tally: TallyOf | None = None,
        listing: TermsOf | None = None,
        head: Callable[[Any], Hashable] | None = None,
    ) -> None:
        """``head``: reads from a row, or its head, all that the four look at; None: they may look at all of it."""
        self._terms_of, self._deadline_of, self._head_of = terms, deadline, head
        self.tally = None if tally is None else Tally(tally)
        self.listing = None if listing is None else Listing(listing)
        self.clear()

    def clear(self) -> None:
        self._of: dict[bytes, tuple[Term, ...]] = {}
        self._members: dict[Term, set[bytes]] = {}
        self.deadlines = Deadlines()
        if self.tally is not None:
            self.tally.clear()
        if self.listing is not None:
            self.listing.clear()

    def put(self, key: bytes, row: Any) -> None:
        """Set the key's row; None: it is gone."""
        if self._deadline_of is not None:
            self.deadlines.put(key, None if row is None else self._deadline_of(row))
        if self._terms_of is not None:
            new = () if row is None else tuple(self._terms_of(row))
            old = self._of.get(key, ())
            if new != old:
                self._replace(key, old, new)
        if self.tally is not None:
            self.tally.put(key, row)
        if self.listing is not None:
            self.listing.put(key, row)

    def _replace(self, key: bytes, old: tuple[Term, ...], new: tuple[Term, ...]) -> None:
        for term in old:
            members = self._members.get(term)
            if members is not None:
                members.discard(key)
                if not members:
                    del self._members[term]
        for term in new:
            self._members.setdefault(term, set()).add(key)
        if new:
            self._of[key] = new
        else:
            del self._of[key]

    def filling(self) -> Filling:
        """Begin anew with many rows at once."""
        self.clear()
        return Filling(self, self._terms_of, self._deadline_of, self._head_of)

    def members(self, terms: tuple[Term, ...], keys: Sequence[bytes]) -> None:
        """Set new keys, all with the same terms."""
        self._of.update(dict.fromkeys(keys, terms))
        for term in terms:
            self._members.setdefault(term, set()).update(keys)

    def select(self, targets: Due | Terms) -> list[bytes]:
        """List the keys named, in an order that does not depend on hashing."""
        if isinstance(targets, Due):
            return self.deadlines.due(targets.now)
        return sorted(set().union(*(self._members.get(term, ()) for term in targets.terms)))

    def sizes(self) -> dict[Term, int]:
        """Count the rows of each term; no key is looked at."""
        return {term: len(members) for term, members in self._members.items()}

    def snapshot(self) -> tuple[dict[Term, set[bytes]], dict[bytes, int]]:
        """Members by term, deadlines by key."""
        return self._members, self.deadlines.of


class Filling:
    """The rows of a partition on their way into its empty index: each key once, a slice at a time.

    Rows are gathered by what they have in common, so that sets, dictionaries and lists are filled by the thousand: a
    third of what as many `Index.put` cost, and rows of equal terms share one tuple of them. Rows of equal heads are
    asked once for all what they are found by.
    """

    def __init__(
        self,
        index: Index,
        terms: TermsOf | None,
        deadline: DeadlineOf | None,
        head_of: Callable[[Any], Hashable] | None,
    ) -> None:
        self._index, self._terms_of, self._deadline_of, self._head_of = index, terms, deadline, head_of
        self._by_terms: defaultdict[tuple[Term, ...], list[bytes]] = defaultdict(list)
        self._by_head: dict[Hashable, tuple[Any, list[bytes]]] = {}

    def add(self, keys: Sequence[bytes], rows: Sequence[Any]) -> None:
        """Take living rows, or their heads, and beside them their keys."""
        if self._head_of is None:
            for key, row in zip(keys, rows, strict=True):
                self._take([key], row)
            return
        by_head = self._by_head
        for key, head, row in zip(keys, map(self._head_of, rows), rows, strict=True):
            try:
                by_head[head][1].append(key)
            except KeyError:
                by_head[head] = row, [key]

    def _take(self, keys: list[bytes], row: Any) -> None:
        """Take keys whose rows are like this one."""
        index = self._index
        if self._terms_of is not None:
            self._by_terms[tuple(self._terms_of(row))] += keys
        if self._deadline_of is not None and (deadline := self._deadline_of(row)) is not None:
            for key in keys:
                index.deadlines.put(key, deadline)
        if index.tally is not None:
            for key in keys:
                index.tally.put(key, row)
        if index.listing is not None:
            index.listing.gather(keys, row)

    def finish(self) -> None:
        """Make the index whole."""
        for row, keys in self._by_head.values():
            self._take(keys, row)
        for terms, keys in self._by_terms.items():
            if terms:
                self._index.members(terms, keys)
        if self._index.listing is not None:
            self._index.listing.sort()
