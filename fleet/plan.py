"""What every device of a fleet will do, decided beforehand: the same arguments give the same scripts, byte for byte.

A script is a list of timed actions. Devices differ by behaviour; the shares are in `SHARES`. One device of every
fleet is taken over: it connects a second time while its first connection is up.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind: TypeAlias = Literal["weather", "frame", "status", "clock", "forecast"]
"""What a message is: a measurement in JSON, one in a device's own binary form, a status report, a pull that the hub
answers, a pull that applications answer."""

Behaviour: TypeAlias = Literal["steady", "takeover", "flapping", "clean", "unclean", "gone", "absent", "storm"]

SHARES: tuple[tuple[Behaviour, float], ...] = (
    ("flapping", 0.10),  # short sessions, short pauses, half of them cut
    ("clean", 0.15),  # says goodbye and comes back
    ("unclean", 0.15),  # its socket is cut, then it comes back
    ("gone", 0.06),  # leaves and never returns
    ("absent", 0.05),  # never connects
)
"""Part of the fleet per behaviour; at least one device each where the fleet is large enough. The rest is steady."""

PLACES = ("airport", "garden", "harbour", "rooftop")
"""The products. Device n belongs to place n modulo 4."""

MIX: tuple[tuple[Kind, int], ...] = (("weather", 80), ("frame", 5), ("status", 8), ("clock", 4), ("forecast", 3))
CROWD = 1000
"""Devices from which on all of them speak MQTT 5, on connections that cost little (see `wire`)."""
SHORTEST = 5
"""Seconds. A shorter run leaves no room for the behaviours."""


class Connect(msgspec.Struct, frozen=True, tag=True):
    at: int


class TakeOver(msgspec.Struct, frozen=True, tag=True):
    """Connect once more while the connection is up."""

    at: int


class Goodbye(msgspec.Struct, frozen=True, tag=True):
    """Send DISCONNECT, then close."""

    at: int


class Cut(msgspec.Struct, frozen=True, tag=True):
    """Close the socket without a word, right after a publish."""

    at: int
    written: bool
    """The publish still leaves: only its acknowledgement is lost. Else the publish itself is."""


class Send(msgspec.Struct, frozen=True, tag=True):
    at: int
    kind: Kind


Action: TypeAlias = Connect | TakeOver | Goodbye | Cut | Send
"""``at``: milliseconds after the start of the run."""


class Script(msgspec.Struct, frozen=True):
    """One device's run."""

    product_id: str
    device_id: str
    behaviour: Behaviour
    protocol: Literal[4, 5]
    """MQTT 3.1.1 or 5; a crowd speaks 5."""
    offset: int
    """Where in the weather records this device begins: a week after its neighbour."""
    actions: tuple[Action, ...]


def identities(scripts: Iterable[Script]) -> list[tuple[str, str]]:
    """(product id, device id) of each."""
    return [(script.product_id, script.device_id) for script in scripts]


_Ending: TypeAlias = Literal["goodbye", "cut"]


class _Session(msgspec.Struct, frozen=True):
    start: int
    end: int | None = None
    """None: up until the fleet leaves."""
    ending: _Ending | None = None


class _Rhythm(msgspec.Struct, frozen=True):
    """How a device comes and goes. Ranges in milliseconds."""

    up: tuple[int, int]
    down: tuple[int, int]
    endings: tuple[_Ending, ...]


class _Outline(msgspec.Struct, frozen=True):
    """What all devices of a fleet share."""

    devices: int
    length: int
    """Milliseconds."""
    rate: float
    prefix: str


_RHYTHMS: dict[Behaviour, _Rhythm] = {
    "flapping": _Rhythm(up=(400, 1500), down=(150, 800), endings=("goodbye", "cut")),
    "clean": _Rhythm(up=(2000, 6000), down=(300, 2500), endings=("goodbye",)),
    "unclean": _Rhythm(up=(2000, 6000), down=(300, 2500), endings=("cut",)),
}


def plan(seed: int, devices: int, seconds: int, *, rate: float = 2.0, prefix: str = "") -> tuple[Script, ...]:
    """Write the scripts of a fleet.

    ``rate``: messages per second of a connected device; ``prefix``: of the product ids, so that fleets sharing a hub
    are told apart. Raises `ValueError` on arguments that leave no room for a run.
    """
    if devices < 1 or seconds < SHORTEST or rate <= 0:
        raise ValueError(f"a run needs a device, {SHORTEST} seconds and a positive rate")
    outline = _Outline(devices, seconds * 1000, rate, prefix)
    behaviours = _behaviours(random.Random(f"{seed}/behaviours"), devices)
    return tuple(_script(random.Random(f"{seed}/{n}"), n, behaviour, outline) for n, behaviour in enumerate(behaviours))


def _behaviours(rng: random.Random, devices: int) -> list[Behaviour]:
    chosen: list[Behaviour] = ["takeover"]
    for behaviour, share in SHARES:
        chosen += [behaviour] * max(1, round(share * devices))
    chosen = chosen[:devices]
    chosen += ["steady"] * (devices - len(chosen))
    rng.shuffle(chosen)
    return chosen


def _script(rng: random.Random, n: int, behaviour: Behaviour, outline: _Outline) -> Script:
    station, place = divmod(n, len(PLACES))
    stations = outline.devices // len(PLACES) + 1
    return Script(
        product_id=f"{outline.prefix}-{PLACES[place]}" if outline.prefix else PLACES[place],
        device_id=f"station-{station:03}",
        behaviour=behaviour,
        protocol=5 if n % 3 == 0 or outline.devices >= CROWD else 4,
        offset=(place * stations + station) * 7,
        actions=tuple(_actions(rng, behaviour, outline)),
    )


def _actions(rng: random.Random, behaviour: Behaviour, outline: _Outline) -> list[Action]:
    length = outline.length
    actions: list[Action] = []
    for session in _sessions(rng, behaviour, length):
        actions.append(Connect(session.start))
        end = length if session.end is None else session.end
        actions += sends(rng, session.start, end, outline.rate)
        match session.ending:
            case "goodbye":
                actions.append(Goodbye(end))
            case "cut":
                actions += [Send(end, "weather"), Cut(end, written=rng.random() < 0.5)]
    if behaviour == "takeover":
        second = rng.randint(length * 4 // 10, length * 6 // 10)
        actions.append(TakeOver(second))
        actions.sort(key=lambda action: action.at)
    return actions


def sends(rng: random.Random, start: int, end: int, rate: float) -> list[Send]:
    """Publish between two moments: ``rate`` per second on average, never two devices in step."""
    kinds, weights = zip(*MIX, strict=True)
    gap = 1000 / rate
    sends: list[Send] = []
    moment = start + rng.random() * gap
    while moment < end:
        sends.append(Send(int(moment), rng.choices(kinds, weights)[0]))
        moment += gap * rng.uniform(0.8, 1.2)
    return sends


def _sessions(rng: random.Random, behaviour: Behaviour, length: int) -> list[_Session]:
    first = rng.randrange(min(2000, length // 5))
    match behaviour:
        case "absent":
            return []
        case "steady" | "takeover":
            return [_Session(first)]
        case "gone":
            return [_Session(first, rng.randint(length // 3, length * 3 // 4), rng.choice(("goodbye", "cut")))]
        case "flapping" | "clean" | "unclean":
            return _come_and_go(rng, first, length, _RHYTHMS[behaviour])
        case "storm":
            raise ValueError("a storm has a plan of its own")


def _come_and_go(rng: random.Random, start: int, length: int, rhythm: _Rhythm) -> list[_Session]:
    """Sessions and pauses of random length; what begins in the run's last half second is left out."""
    sessions: list[_Session] = []
    last = length - 500
    while start < last:
        end = start + rng.randint(*rhythm.up)
        if end >= last:
            sessions.append(_Session(start))
            break
        sessions.append(_Session(start, end, rng.choice(rhythm.endings)))
        start = end + rng.randint(*rhythm.down)
    return sessions
