"""What a lane wrote about a product's devices, against the replay of its inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.runtime.lane import history
from libs.runtime.lane.compare import compare
from libs.runtime.lane.replay import replay
from libs.runtime.lane.rows import SHARED_KEY, cell_name
from libs.topics import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.runtime.lane.app import LaneApp
    from libs.runtime.lane.rows import Codec
    from libs.runtime.settings import KafkaSettings


def unlike_the_replay(kafka: KafkaSettings, app: LaneApp, table: str, topics: Iterable[str], product: str) -> list[str]:
    """Where rows and logs of a product's devices differ from the replay of the inbox, in sentences.

    ``app``: built, not started. All about the product must be folded. Ticks come all the while, so the replay ends
    where the rows do.
    """
    lane = app.lanes[table]
    rows: dict[int, list[history.Entry]] = {}
    for number, entries in history.read(kafka, names.changelog(app.conf.id, table)):
        rows.setdefault(number, []).extend(entries)
    reached = {number: max(map(offset_of(lane.codec), entries)) for number, entries in rows.items()}
    logs = {topic: [entry for _, entries in history.read(kafka, topic) for entry in entries] for topic in topics}
    inbox = (
        (number, [entry for entry in entries if entry.offset <= reached.get(number, -1)])
        for number, entries in history.read(kafka, lane.inbox, first=0)
    )
    prefix = f"{product}/".encode()
    return compare(replay(lane, inbox), rows, logs, only=lambda key: key is not None and key.startswith(prefix))


def offset_of(codec: Codec) -> Callable[[history.Entry], int]:
    """Which record of the inbox a row was last written for."""

    def offset(entry: history.Entry) -> int:
        if entry.value is None:
            return -1
        if entry.key == SHARED_KEY:
            return codec.thaw_shared(entry.value).offset
        return (codec.thaw_cell if cell_name(entry.key or b"") else codec.thaw)(entry.value).offset

    return offset
