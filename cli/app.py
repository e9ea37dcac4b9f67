"""The command line ``fleetlog``: the tree of its commands, and how each of them ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace
from typer.main import get_command

from .commands import command, devices, fanout, fleet, keys, migrate, presence, products, shadow, tags, tail, topics
from .exits import MEANINGS, Exit, Failure
from .world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "fleetlog"

HELP = """\
The hub, for operators and scripts.

keys, tail, topics and shadow verify speak to Kafka (FLEETLOG_KAFKA_...), migrate to ClickHouse
(FLEETLOG_CLICKHOUSE_...), all else but fleet to the HTTP API (FLEETLOG_API_URL, FLEETLOG_API_KEY). What the
environment does not say is found in the stack that `./just up` runs.

With --json the result is one JSON document, or one line per item, on standard output; times are RFC 3339. Messages and
errors go to standard error.
"""
STATUSES = "\n".join(f"{int(status):>3}  {meaning}" for status, meaning in MEANINGS.items())

app = typer.Typer(
    name=NAME,
    help=HELP,
    epilog=f"\b\nExit status:\n{STATUSES}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for group in (products, devices, tags, presence, shadow, command, fanout, keys, topics):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])
app.command()(tail.tail)
app.command()(migrate.migrate)
for one in (shadow.status, command.rpc, command.probe, command.probes, command.message):
    app.command()(one)
app.command(context_settings=fleet.OPTIONS)(fleet.fleet)


@app.callback()
def root(
    context: typer.Context,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="Of the running stack. Default: .fleetlog in this checkout."),
    ] = None,
) -> None:
    if state is not None:
        context.obj = replace(context.obj, state=state.absolute())


def main(arguments: Sequence[str] | None = None, world: World | None = None) -> int:
    """Run the command line; returns the exit status. ``world``: what a test puts in place of the real one."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        get_command(app).main(args=given, prog_name=NAME, obj=world or World())
    except Failure as failure:
        _tell(failure, json="--json" in given)
        return failure.status
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.FAILED
    return Exit.OK


def _tell(failure: Failure, *, json: bool) -> None:
    lines = [msgspec.json.encode(failure.document()).decode()] if json else failure.lines()
    sys.stderr.write("\n".join(lines) + "\n")
