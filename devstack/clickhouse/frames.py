"""LZ4 bodies. Clients send one frame per block: a decompressor that stops after the first loses the rest silently."""

from __future__ import annotations

import lz4.frame

from devstack.clickhouse.errors import CANNOT_DECOMPRESS, ClickHouseError


def decompress(body: bytes) -> bytes:
    """The content of all frames, joined. Raises `ClickHouseError` where a frame is broken or cut off."""
    parts = []
    while body:
        frame = lz4.frame.LZ4FrameDecompressor()
        try:
            parts.append(frame.decompress(body))
        except RuntimeError as error:
            raise ClickHouseError(CANNOT_DECOMPRESS, f"the body is not LZ4 frames: {error}") from error
        if not frame.eof:
            raise ClickHouseError(CANNOT_DECOMPRESS, "the last LZ4 frame of the body is cut off")
        body = frame.unused_data or b""
    return b"".join(parts)
