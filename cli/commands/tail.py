"""``fleetlog tail``: the records of a topic, decoded."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from cli import times
from cli.arguments import Json
from cli.asking import reported
from cli.exits import Exit, Failure, usage
from cli.records import Reader, decoder, key_text, parse_start, see
from cli.world import Session
from libs.runtime.partitioner import partition_of
from libs.topics import catalog
from libs.topics.topic import DEVICE_KEY

if TYPE_CHECKING:
    from cli.records import Record, Seen
    from libs.topics.topic import Topic


def names() -> list[str]:
    """What the shell completes."""
    return [topic.name for topic in catalog.TOPICS]


def tail(
    context: typer.Context,
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", autocompletion=names, help="Any topic of the catalog: `topics list`.")
    ],
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Only records of it, such as plant-7/press-1.")] = None,
    begin: Annotated[
        str,
        typer.Option("--from", metavar="WHERE", help="beginning, end, an offset, a time, or so long ago: 15m."),
    ] = "end",
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many records.")] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for more, until Ctrl-C.")] = True,
    json: Json = False,
) -> None:
    """Show the records of a topic, decoded.

    Those that cannot be decoded are shown as they are.

    \b
    Example: fleetlog tail device.telemetry --key plant-7/press-1 --from 15m --no-follow
    """
    session = Session(context, json=json)
    known = find(topic)
    try:
        start = parse_start(begin, session.world.now())
    except ValueError as error:
        raise usage(str(error)) from error
    kafka = session.kafka()
    wanted = None if key is None else key.encode()
    decode = decoder(known)
    with reported(kafka), closing(Reader(kafka, topic)) as reader:
        partitions = reader.partitions()
        if not partitions:
            raise Failure(Exit.NOT_FOUND, f"Kafka at {kafka.bootstrap} has no topic {topic}", code="unknown_topic")
        if wanted is not None and known.key == DEVICE_KEY and not known.broadcasts:
            partitions = [partition_of(wanted, len(partitions))]
        records = reader.read(partitions, start, follow=follow)
        chosen = (record for record in records if wanted is None or record.key == wanted)
        for record in islice(chosen, count):
            seen = see(record, decode)
            if json:
                session.out.json_line(for_scripts(record, seen))
            else:
                session.out.line(for_people(record, seen, session))


def find(name: str) -> Topic:
    """Raises `Failure`."""
    try:
        return catalog.get(name)
    except KeyError:
        raise Failure(
            Exit.NOT_FOUND,
            f"{name} is no topic of the catalog",
            code="unknown_topic",
            advice="`fleetlog topics list` names them",
        ) from None


def for_scripts(record: Record, seen: Seen) -> dict[str, Any]:
    """Make the line of a record; ``value`` holds its own JSON, byte for byte."""
    line: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "written_at": record.written_at,
        "key": key_text(record.key),
        "kind": seen.kind,
        "value": seen.value,
    }
    return line if seen.problem is None else {**line, "problem": seen.problem}


def for_people(record: Record, seen: Seen, session: Session) -> Text:
    line = Text(times.local(record.written_at, session.world.zone, exact=True), style="dim")
    line.append(f" {record.partition}@{record.offset}")
    line.append(f" {key_text(record.key) or '-'}", style="not dim")
    line.append(f" {seen.kind}", style="not dim bold")
    if seen.problem is not None:
        line.append(f" ({seen.problem})", style="not dim yellow")
    if seen.value is not None:
        line.append(f" {_fields(seen.value)}", style="not dim")
    return line


def _fields(value: msgspec.Raw) -> str:
    """JSON without what stands before it in the line already."""
    decoded = msgspec.json.decode(value)
    if isinstance(decoded, dict):
        decoded = {name: item for name, item in decoded.items() if name not in {"type", "product_id", "device_id"}}
    return msgspec.json.encode(decoded).decode()
