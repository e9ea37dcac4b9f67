from __future__ import annotations

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.clickhouse.errors import ClickHouseError
from devstack.clickhouse.frames import decompress


@given(st.lists(st.binary(max_size=2000), max_size=8))
def test_all_frames_are_read(parts: list[bytes]) -> None:
    assert decompress(b"".join(lz4.frame.compress(part) for part in parts)) == b"".join(parts)


@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_cut_frame_is_an_error(content: bytes, data: st.DataObject) -> None:
    whole = lz4.frame.compress(b"first") + lz4.frame.compress(content)
    first = len(lz4.frame.compress(b"first"))
    cut = data.draw(st.integers(min_value=first + 1, max_value=len(whole) - 1))
    with pytest.raises(ClickHouseError) as caught:
        decompress(whole[:cut])
    assert caught.value.code == 271


def test_what_is_no_frame_is_an_error() -> None:
    with pytest.raises(ClickHouseError, match="not LZ4"):
        decompress(b"SELECT 1 and some more bytes")
