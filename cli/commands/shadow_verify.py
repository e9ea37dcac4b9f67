"""``fleetlog shadow verify``: whether every document is what its log says."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from confluent_kafka import OFFSET_BEGINNING

from cli.arguments import Json, span
from cli.asking import reported
from cli.exits import Exit, Failure, usage
from cli.verify.log import Log
from cli.verify.run import Reach, Verification
from cli.verify.table import PATIENCE, Table
from cli.world import Session
from libs.topics.names import SHADOW_DOCUMENTS, SHADOW_EVENTS

if TYPE_CHECKING:
    from cli.verify.run import Report
    from cli.verify.track import Difference
    from libs.runtime.settings import KafkaSettings

SETTLED = 30
"""Seconds in which whatever is under way arrives: a worker whose outputs do not is ended by then."""


def place(text: str) -> tuple[int, int]:
    """``PARTITION:OFFSET``. Raises typer.BadParameter."""
    partition, colon, offset = text.partition(":")
    if not colon or not partition.isdecimal() or not offset.isdecimal():
        raise typer.BadParameter(f"{text!r} is not PARTITION:OFFSET")
    return int(partition), int(offset)


def verify(
    context: typer.Context,
    beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Of the log; so it is where nothing else is given.")
    ] = False,
    moment: Annotated[
        str | None, typer.Option("--from-time", metavar="TIME", help="RFC 3339, or 15m: so long ago.")
    ] = None,
    offsets: Annotated[
        list[str] | None,
        typer.Option("--from-offset", metavar="PARTITION:OFFSET", help="Repeat it; other partitions from the start."),
    ] = None,
    partitions: Annotated[
        list[int] | None, typer.Option("--partition", metavar="N", help="Only these of the log. Repeat it.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="SPAN", parser=span, help="How long a difference gets to turn out as a change under way: 30s."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fold shadow.events again, and compare every document with shadow.documents and the live table.

    Exit status 1 where something differs: each line names the device, the shadow and the first version that is known
    to differ; the fault lies behind the last version that is known to be sound. It may run while shadows change. From
    another place than the beginning a document counts once the log has a checkpoint of it, every 32 versions. It
    needs some 1 KB of memory for each document beside its JSON; with --partition less at a time.

    \b
    Example: fleetlog shadow verify --from-time 24h
    """
    session = Session(context, json=json)
    starts = dict(map(place, offsets or ()))
    if sum((beginning, moment is not None, bool(starts))) > 1:
        raise usage("only one of --from-beginning, --from-time and --from-offset can be meant")
    since = None if moment is None else session.moment(moment)
    kafka = session.kafka()
    with reported(kafka):
        report = asyncio.run(_verify(kafka, since, starts, partitions, SETTLED if patience is None else patience))
    _tell(session, report)
    if report.differences or report.unreadable:
        raise typer.Exit(Exit.FAILED)
    if report.unanswered:
        raise Failure(
            Exit.UNAVAILABLE,
            f"nobody answers for the rows of {report.unanswered} devices",
            code="no_answer",
            advice="is the shadow service running? look, then try again",
        )


async def _verify(
    kafka: KafkaSettings, since: int | None, starts: dict[int, int], chosen: list[int] | None, patience: float
) -> Report:
    with ExitStack() as ends:
        events, documents = (
            ends.enter_context(closing(Log(kafka, name))) for name in (SHADOW_EVENTS, SHADOW_DOCUMENTS)
        )
        numbers = _partitions(events, SHADOW_EVENTS)
        read = sorted(set(numbers if chosen is None else chosen))
        if strangers := {*read, *starts} - set(numbers):
            raise usage(f"{SHADOW_EVENTS} has no partition {', '.join(map(str, sorted(strangers)))}")
        places, complete = {}, set()
        for number in read:
            first = events.bounds(number)[0]
            places[number] = max(first, starts.get(number, first) if since is None else events.at(number, since))
            if places[number] == first == 0:
                complete.add(number)
        events.begin(places)
        documents.begin(dict.fromkeys(_partitions(documents, SHADOW_DOCUMENTS), OFFSET_BEGINNING))
        reach = Reach(len(numbers), frozenset(read), frozenset(complete))
        try:
            async with Table(kafka, len(numbers)) as table:
                return await Verification(events, documents, table, reach).run(patience)
        except TimeoutError:
            raise Failure(
                Exit.UNAVAILABLE,
                f"Kafka did not tell who owns the rows within {PATIENCE:g} s",
                code="kafka_unavailable",
            ) from None


def _partitions(log: Log, topic: str) -> list[int]:
    found = log.partitions()
    if not found:
        raise Failure(
            Exit.NOT_FOUND,
            f"there is no topic {topic}",
            code="unknown_topic",
            advice="`fleetlog topics apply` creates it, too",
        )
    return found


def _tell(session: Session, report: Report) -> None:
    out = session.out
    if out.json:
        out.document(msgspec.to_builtins(report))
        return
    for one in report.differences:
        out.line(sentence(one))
    for record in report.unreadable:
        out.line(f"{record}")
    out.line(f"{report.events:,} events ({report.repeated:,} repeated) make {report.documents:,} documents")
    for where, alike in ((SHADOW_DOCUMENTS, report.alike_in_topic), ("the table", report.alike_in_table)):
        out.line(f"{alike:,} shadows, deleted ones included, are in {where} as the log has them")
    if report.unfounded:
        out.line(f"{report.unfounded:,} documents could not be founded: no checkpoint of theirs lies behind that place")


def sentence(one: Difference) -> str:
    """``plant-7/press-1 shadow night, version 17 (sound up to 0): shadow.events: the delta in ... (delta)``."""
    shadow = "" if one.shadow is None else f" shadow {one.shadow}"
    return (
        f"{one.device}{shadow}, version {one.version} (sound up to {one.sound_version}): "
        f"{one.where}: {one.detail} ({one.kind})"
    )
