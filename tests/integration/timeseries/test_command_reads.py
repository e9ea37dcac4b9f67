"""What the API asks of commands' past, on the real engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libs.topics import names
from services.api import command_queries as queries
from services.api.queries import About
from tests.support.command_log import HOUR, CommandLog
from tests.support.names import unique
from tests.support.stored import store

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from services.api.command_documents import Command
    from services.api.queries import Question

AT = int(time.time() * 1000) - HOUR


def shown(client: Client, question: Question) -> list[Command]:
    return [queries.command(row) for row in client.query(question.statement, question.parameters).result_rows]


def test_a_reply_in_time_is_shown_before_later_ones_and_of_those_the_newest(client: Client) -> None:
    product = unique("p")
    replied, expired, silent = logs = [CommandLog(product, "d1", unique("r"), AT + n) for n in range(3)]
    for log in logs:
        log.send(AT + 1_000)
    replied.reply(AT + 1_200, "in time")
    replied.reply_late(AT + 1_300, "again")
    expired.end(AT + 2_000, "expired", "too late")
    expired.reply_late(AT + 2_100, "first")
    expired.reply_late(AT + 2_200, "second")
    store(client, names.COMMANDS_EVENTS, [event for log in logs for event in log.events])

    listed = shown(client, queries.commands(About(product, "d1", AT, AT + HOUR), (), None, 10))
    assert [one.request_id for one in listed] == [log.request_id for log in (silent, expired, replied)]
    replies = [one.reply for one in listed]
    assert [reply and (bytes(reply.payload), reply.late, reply.rtt_ms) for reply in replies] == [
        None,
        (b'"second"', True, 1_200),
        (b'"in time"', False, 200),
    ]
    assert shown(client, queries.commands_of(expired.request_id, None)) == [listed[1]]
    assert shown(client, queries.commands(About(product, "d1", AT, AT + HOUR), ("sent",), None, 10)) == [listed[0]]
