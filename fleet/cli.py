"""The command line of the fleet simulator."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from libs.runtime.settings import ClickHouseSettings, KafkaSettings

from . import addresses, dataset, descriptors, text
from .addresses import Given, NoAddress
from .admission import admit
from .audit import Audit, Verdict
from .dataset import DatasetMissing
from .descriptors import TooFewDescriptors
from .device import CannotConnect
from .fleet import Fleet
from .plan import SHORTEST, identities, plan
from .readers.clickhouse import ClickHouseReader
from .readers.kafka import KafkaReader
from .registration import ApiAccess, NotRegistered
from .storm import storm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .addresses import Addresses
    from .plan import Script
    from .truth import Truth

NEWS = 5.0
"""Seconds between two lines of progress."""
USUAL, STORMY = 2.0, 0.1
"""Messages per second of a device, where none are asked for."""
OWN = (NoAddress, DatasetMissing, TooFewDescriptors, NotRegistered, CannotConnect)
OF_THE_HUB = (KafkaException, ClickHouseError)
BALANCED, UNBALANCED, NO_RUN, INTERRUPTED = 0, 1, 2, 130

DESCRIPTION = """\
Simulate a fleet of devices on real MQTT connections and say whether the hub got everything right.

Every device replays public weather records of Seattle (NOAA, 2012 to 2015) as QoS 1 publishes and plays a script of
its own: some stay connected, some come and go, politely or by cutting their socket, one connects a second time while
its first connection is up, some never return, some never come. The same seed gives the same scripts.

The fleet keeps the truth: what was sent and acknowledged, who was connected when. Afterwards it compares Kafka and
ClickHouse with it, as far as it knows their addresses: every acknowledged message must be there exactly once,
unaltered and in order, and presence must be the truth. Without --mqtt it uses the stack that `./just up` started.

Where the hub has an HTTP API, the fleet is registered there before the run, and every device connects with its secret.
"""
EPILOG = """\
exit status: 0 everything balances; 1 it does not, and every difference is named; 2 there was no run
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(addresses.choose(_given(options), options.state), options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (*OWN, *OF_THE_HUB, ValueError) as error:
        print(f"fleet: {error}", file=sys.stderr)
        return NO_RUN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fleet", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = parser.add_argument_group("the run")
    run.add_argument("--devices", type=int, default=200, metavar="N", help="how many devices (default: 200)")
    run.add_argument(
        "--seconds", type=int, default=20, metavar="S", help=f"how long, at least {SHORTEST} seconds (default: 20)"
    )
    run.add_argument(
        "--rate", type=float, metavar="R", help="messages per second of a connected device (default: 2, in a storm 0.1)"
    )
    run.add_argument("--seed", type=int, default=1, metavar="N", help="which scripts are played (default: 1)")
    run.add_argument(
        "--storm",
        type=int,
        metavar="N",
        help="a reconnect storm: N of the devices are cut off at once and return within 10 s; --seconds has no use",
    )
    run.add_argument(
        "--prefix", metavar="NAME", help="beginning of the product ids; default: a new one, hence new devices, per run"
    )
    hub = parser.add_argument_group("the hub")
    hub.add_argument("--mqtt", metavar="HOST:PORT", help="the broker's listener for devices")
    hub.add_argument("--kafka", metavar="HOST:PORT", help="bootstrap servers, to compare Kafka")
    hub.add_argument("--clickhouse", metavar="URL", help="such as http://127.0.0.1:8123, to compare ClickHouse")
    hub.add_argument("--api", metavar="URL", help="of the hub's HTTP API, to register the fleet (needs --api-key)")
    hub.add_argument("--api-key", metavar="KEY", help="with the scope admin")
    hub.add_argument("--open", action="store_true", help="connect without credentials: the broker is open to all")
    hub.add_argument(
        "--state", type=Path, default=Path(".fleetlog"), metavar="DIR", help="of the running stack (default: .fleetlog)"
    )
    hub.add_argument(
        "--patience", type=float, default=30.0, metavar="S", help="seconds it gets to catch up (default: 30)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _given(options: argparse.Namespace) -> Given:
    if (options.api is None) is not (options.api_key is None):
        raise ValueError("--api and --api-key go together")
    api = None if options.api is None else ApiAccess(options.api, options.api_key)
    return Given(options.mqtt, options.kafka, options.clickhouse, api, options.open)


async def _run(where: Addresses, options: argparse.Namespace) -> int:
    run = token_hex(4)
    scripts = _scripts(options, options.prefix or f"fleet-{run}")
    descriptors.allow(len(scripts))
    with ExitStack() as readers:
        audit = _audit(where, readers)
        secrets = {} if where.api is None else await admit(where.api, where.mqtt, identities(scripts), run)
        async with Fleet(scripts, where.mqtt, run, dataset.load(), secrets=secrets) as fleet:
            news = asyncio.create_task(_tell(fleet.truth))
            try:
                await fleet.play()
            finally:
                news.cancel()
                with suppress(asyncio.CancelledError):
                    await news
            verdict = await audit.settle(fleet.truth, options.patience)
            report = _json(fleet.truth, verdict) if options.json else "\n".join(_text(fleet.truth, verdict))
    print(report)
    return BALANCED if verdict.balanced else UNBALANCED


def _scripts(options: argparse.Namespace, prefix: str) -> tuple[Script, ...]:
    if options.storm is not None:
        return storm(options.seed, options.devices, options.storm, rate=_rate(options, STORMY), prefix=prefix)
    return plan(options.seed, options.devices, options.seconds, rate=_rate(options, USUAL), prefix=prefix)


def _rate(options: argparse.Namespace, default: float) -> float:
    return default if options.rate is None else float(options.rate)


def _audit(where: Addresses, readers: ExitStack) -> Audit:
    kafka = clickhouse = None
    if where.kafka is not None:
        kafka = KafkaReader(KafkaSettings(bootstrap=where.kafka))
        readers.callback(kafka.close)
    if where.clickhouse is not None:
        clickhouse = ClickHouseReader(ClickHouseSettings(url=where.clickhouse))
        readers.callback(clickhouse.close)
    return Audit(kafka, clickhouse)


async def _tell(truth: Truth) -> None:
    while True:
        await asyncio.sleep(NEWS)
        print(
            f"{truth.online():,} devices online, {len(truth.sent):,} messages published, "
            f"{truth.acknowledgements():,} acknowledged",
            file=sys.stderr,
        )


def _text(truth: Truth, verdict: Verdict) -> list[str]:
    lines = [*text.books(verdict.entries), "", *text.presence(truth, verdict), ""]
    if verdict.findings:
        return [*lines, "It does not balance:", *text.findings(verdict.findings)]
    if verdict.hub_online is None and all(entry.clickhouse is None for entry in verdict.entries):
        return [*lines, "Nothing was compared: the address of neither Kafka nor ClickHouse is known."]
    return [*lines, "Everything balances."]


def _json(truth: Truth, verdict: Verdict) -> str:
    return msgspec.json.encode(
        {
            "run": truth.run,
            "balanced": verdict.balanced,
            "devices": len(truth.connections),
            "online": truth.online(),
            "published": len(truth.sent),
            "acknowledged": truth.acknowledgements(),
            "connections": truth.count_causes(),
            "hub": {"online": verdict.hub_online, "connections": verdict.causes, "dead_letters": verdict.letters},
            "books": verdict.entries,
            "findings": verdict.findings,
        }
    ).decode()
