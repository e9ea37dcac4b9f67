"""Three questions that the stored history answers, as anybody could ask them with SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fleet import text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Question(msgspec.Struct, frozen=True):
    title: str
    sql: str
    columns: str
    """Alignment of the answer's columns, for `fleet.text.table`."""


class Answer(msgspec.Struct, frozen=True):
    question: Question
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


QUESTIONS = (
    Question(
        "Which station measured the highest temperature of each place?",
        "SELECT product_id AS place, argMax(device_id, value) AS station, max(value) AS celsius\n"
        "FROM metrics WHERE key = 'temp_max' GROUP BY place ORDER BY celsius DESC, place",
        "<<>",
    ),
    Question(
        "Which devices came and went most often, and how often without a goodbye?",
        "SELECT product_id AS place, device_id AS station, countIf(new = 'online') AS connects,\n"
        "       countIf(cause = 'connection_lost') AS lost\n"
        "FROM presence_transitions GROUP BY place, station ORDER BY connects DESC, lost DESC, place, station LIMIT 5",
        "<<>>",
    ),
    Question(
        "How many messages came in each five seconds, and from how many devices?",
        "SELECT toStartOfInterval(received_at, INTERVAL 5 SECOND) AS time, count() AS messages,\n"
        "       uniqExact(product_id, device_id) AS devices\n"
        "FROM raw_events GROUP BY time ORDER BY time",
        "<>>",
    ),
)


def answer(question: Question, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Answer:
    return Answer(question, tuple(header), tuple(tuple(map(_cell, row)) for row in rows))


def _cell(value: object) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.1f}"
        case _ if hasattr(value, "strftime"):
            return f"{value:%H:%M:%S}"
        case _:
            return str(value)


def lines(given: Answer) -> list[str]:
    """The question, its SQL and its answer."""
    table = text.table(given.question.columns, given.header, given.rows) if given.rows else ["no rows"]
    sql = given.question.sql.splitlines()
    return [given.question.title, *(f"  {line}" for line in sql), "", *(f"  {line}" for line in table)]
