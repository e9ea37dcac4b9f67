"""Topics: the catalog, and how far Kafka has it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import times
from cli.arguments import Json
from cli.asking import reported
from cli.commands.tail import find, names
from cli.exits import Exit, Failure
from cli.world import Session
from libs.runtime import provision
from libs.runtime.shards import topics
from libs.topics import catalog
from libs.topics.topic import FOREVER, Topic

app = typer.Typer(no_args_is_help=True, help="The catalog, and how far Kafka has it.")

TIMEOUT = 10.0
"""Seconds for each answer of Kafka."""
COLUMNS = {"name": "topic", "stage": "stage", "cleanup": "cleanup", "retention": "kept", "consumers": "read by"}


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List the catalog's topics."""
    Session(context, json=json).out.items((_summary(topic) for topic in catalog.TOPICS), COLUMNS, "no topic")


@app.command()
def show(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", autocompletion=names)],
    json: Json = False,
) -> None:
    """Show what the catalog says about one topic."""
    known = find(topic)
    document = {
        **_summary(known),
        "purpose": known.purpose,
        "key": known.key,
        "kinds": list(known.kinds),
        "producers": list(known.producers),
        "feeds": list(known.feeds),
        "broadcasts": known.broadcasts,
        "config": dict(known.config),
    }
    Session(context, json=json).out.document(document)


@app.command()
def apply(context: typer.Context, json: Json = False) -> None:
    """Create topics that are missing, and add settings that they do not have; nothing that somebody set is changed.

    The number of partitions of keyed topics is FLEETLOG_KAFKA_PARTITIONS: permanent for an installation.
    """
    session = Session(context, json=json)
    kafka = session.kafka()
    with reported(kafka):
        try:
            done = provision.ensure(kafka, topics(session.shards()), TIMEOUT)
        except provision.TopicMismatch as error:
            raise Failure(
                Exit.FAILED,
                f"topics of {kafka.bootstrap} are not ours; nothing was changed",
                code="topics_do_not_fit",
                advice=" | ".join(error.problems),
            ) from error
    session.out.document({"created": list(done.created), "completed": list(done.completed), "kept": list(done.kept)})


@app.command()
def diff(context: typer.Context, json: Json = False) -> None:
    """Say what `apply` would do, and what it would refuse; exit status 1 where it would do or refuse something."""
    session = Session(context, json=json)
    kafka = session.kafka()
    with reported(kafka):
        found = provision.compare(kafka, topics(session.shards()), TIMEOUT)
    document: dict[str, Any] = {
        "missing": list(found.missing),
        "incomplete": list(found.incomplete),
        "kept": list(found.kept),
        "misfits": list(found.misfits),
    }
    if json:
        session.out.document(document)
    else:
        for what, lines in document.items():
            for line in lines:
                session.out.line(f"{what:<11} {line}")
        if found.same:
            session.out.line(f"Kafka at {kafka.bootstrap} has all {len(catalog.TOPICS)} topics as they are wanted")
    if not found.same:
        raise typer.Exit(Exit.FAILED)


def _summary(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "stage": topic.stage,
        "cleanup": topic.cleanup,
        "retention": "for ever" if topic.retention_ms == FOREVER else times.span(topic.retention_ms),
        "partitions": topic.partitions,
        "consumers": list(topic.consumers),
    }
