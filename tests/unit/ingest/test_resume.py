from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.model import STAMP
from services.ingest.resume import Filter, fingerprint

BODIES = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=20)


def stamped(body: bytes, now: int = 1_560_432_000_000) -> bytes:
    value = body + b'"received_at":%d}' % now
    assert len(value) == len(body) + STAMP
    return value


@given(BODIES, BODIES)
def test_each_record_absorbs_one_redelivered_message_at_most(in_kafka: list[bytes], again: list[bytes]) -> None:
    found = Filter()
    found.add(map(stamped, in_kafka))
    absorbed = Counter(body for body in again if found.absorb(stamped(body, 1_560_432_999_999)))
    assert absorbed == Counter(in_kafka) & Counter(again)
    assert found.size == len(in_kafka)


def test_the_time_of_receipt_is_no_part_of_a_fingerprint() -> None:
    assert fingerprint(stamped(b"a", 1_560_432_000_000)) == fingerprint(stamped(b"a", 1_560_432_000_001))
    assert fingerprint(stamped(b"a")) != fingerprint(stamped(b"b"))


def test_an_empty_filter_absorbs_nothing() -> None:
    assert not Filter().absorb(stamped(b"a"))
