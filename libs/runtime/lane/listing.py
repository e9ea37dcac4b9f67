"""Keys of one partition's rows in order, under the terms that each row is listed under; derived like the index."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sortedcontainers import SortedList

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model import Term, TermsOf


MANY = 16
"""Terms of a row of which sets find one sooner than a look at each."""


class Listing:
    """Contract: after every slice it equals the one listed anew from the rows (`snapshot` of both)."""

    def __init__(self, terms_of: TermsOf) -> None:
        self._terms_of = terms_of
        self.clear()

    def clear(self) -> None:
        self._of: dict[bytes, tuple[Term, ...]] = {}
        self._keys: dict[Term, Any] = {}  # SortedList[bytes]
        self._gathered: defaultdict[tuple[Term, ...], list[bytes]] = defaultdict(list)

    def put(self, key: bytes, row: Any) -> None:
        """Set the key's row; None: it is gone. A term costs 1 µs, also among 100,000 keys."""
        new = () if row is None else tuple(dict.fromkeys(self._terms_of(row)))
        old = self._of.get(key, ())
        if new == old:
            return
        was, now = (old, new) if len(old) + len(new) < MANY else (frozenset(old), frozenset(new))
        for term in old:
            if term not in now:
                self._leave(term, key)
        for term in new:
            if term not in was:
                keys = self._keys.get(term)
                if keys is None:
                    keys = self._keys[term] = SortedList()
                keys.add(key)
        if new:
            self._of[key] = new
        else:
            del self._of[key]

    def _leave(self, term: Term, key: bytes) -> None:
        keys = self._keys[term]
        keys.remove(key)
        if not keys:
            del self._keys[term]

    def gather(self, keys: Iterable[bytes], row: Any) -> None:
        """Take keys whose rows are like this one, each once, into a listing that was cleared; `sort` lists them."""
        self._gathered[tuple(self._terms_of(row))] += keys

    def sort(self) -> None:
        """List what was gathered. Keys that came in order, as they do from disk, cost next to nothing."""
        found: defaultdict[Term, list[bytes]] = defaultdict(list)
        for given, keys in self._gathered.items():
            terms = tuple(dict.fromkeys(given))
            if terms:
                self._of.update(dict.fromkeys(keys, terms))
            for term in terms:
                found[term] += keys
        self._keys = {term: SortedList(keys) for term, keys in found.items()}
        self._gathered.clear()

    def after(self, term: Term, prefix: bytes, after: bytes) -> Iterator[bytes]:
        """Go through the term's keys that begin with ``prefix`` and come behind ``after``; use it before the next put.

        The first costs a search, each further one next to nothing.
        """
        keys = self._keys.get(term, ())
        if not keys:
            return
        found = keys.irange(after, inclusive=(False, True)) if after >= prefix else keys.irange(prefix)
        for key in found:
            if not key.startswith(prefix):
                return
            yield key

    def snapshot(self) -> dict[Term, list[bytes]]:
        """Keys in order by term."""
        return {term: list(keys) for term, keys in self._keys.items()}
