"""The command line of the demo."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException
from rich.console import Console

from devstack import lock
from devstack.cli import STATE, up_detached
from devstack.errors import StackError
from devstack.places import SERVICES, Choice, Places
from devstack.stack import Stack
from fleet.dataset import DatasetMissing
from fleet.device import CannotConnect
from fleet.plan import SHORTEST
from fleet.registration import NotRegistered

from . import report
from .progress import waiting
from .run import Terms, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BALANCED, UNBALANCED, NO_RUN, INTERRUPTED = 0, 1, 2, 130

STARTING = f"starting Kafka, mosquitto, ClickHouse, {', '.join(SERVICES)}"

DESCRIPTION = """\
Run the whole hub on this machine and prove that it loses nothing.

Starts real Kafka, mosquitto and the ClickHouse engine with every service, lets a simulated fleet play on real MQTT
connections (some devices flap, some are cut off, one is taken over), waits until the hub has caught up and compares:
published = acknowledged = in Kafka = in ClickHouse, and presence = the fleet's own truth. The fleet is registered
through the API before; afterwards the demo tries who gets in, and who may say what, switches a lamp by its shadow, and
verifies all shadows.
"""
EPILOG = (
    "exit status: 0 the books balance, access and shadow are as they should be; 1 not so, and the report says where; "
    "2 there was no run"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. SIGTERM ends it like Ctrl-C: in order, with nothing left."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    console = Console(highlight=False)
    try:
        with _hub(options, console) as (hub, started):
            prefix = "" if options.state is None and not options.keep else None
            terms = Terms(options.devices, options.seconds, options.seed, prefix, options.patience)
            parts, balanced = asyncio.run(run(hub, terms, console, started))
            _print(console, parts)
            if options.keep:
                print("The stack is still running at the addresses above; `./just down` stops it.")
    except KeyboardInterrupt:
        print("interrupted; everything has been stopped", file=sys.stderr)
        return INTERRUPTED
    except (
        StackError,
        DatasetMissing,
        CannotConnect,
        NotRegistered,
        KafkaException,
        ClickHouseError,
        TimeoutError,
        ValueError,
    ) as error:
        print(f"demo: {error}", file=sys.stderr)
        return NO_RUN
    return BALANCED if balanced else UNBALANCED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=200, metavar="N", help="how many devices (default: 200)")
    parser.add_argument(
        "--seconds", type=int, default=20, metavar="S", help=f"how long, at least {SHORTEST} seconds (default: 20)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which scripts are played (default: 1)")
    parser.add_argument(
        "--patience", type=float, default=30.0, metavar="S", help="seconds the hub gets to catch up (default: 30)"
    )
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="keep data and logs there (default: a temporary directory)"
    )
    parser.add_argument(
        "--keep", action="store_true", help=f"leave the stack running, in {STATE} or --state, as `./just up` does"
    )
    return parser


@contextmanager
def _hub(options: argparse.Namespace, console: Console) -> Iterator[tuple[Places, float]]:
    """Start the stack; yields it with the seconds that took. Stops it, unless it is to be kept."""
    begun = time.monotonic()
    with ExitStack() as ends:
        if options.keep:
            state = options.state or STATE
            with waiting(console, STARTING):
                up_detached(state, Choice())
            yield Places.of_running(state), time.monotonic() - begun
            return
        state = options.state or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="fleetlog-demo-")))
        ends.enter_context(lock.StateLock(state))
        with waiting(console, STARTING):
            stack = ends.enter_context(Stack(state))
        yield stack, time.monotonic() - begun


def _print(console: Console, parts: Sequence[report.Section]) -> None:
    """Print the report; headings stand out in a terminal."""
    for part in parts:
        console.print(part.title, style="bold", markup=False)
        for line in report.body(part):
            console.print(line, markup=False, soft_wrap=True)
