"""A reconnect storm, decided beforehand: a large fleet of which most lose their connection at the same moment.

It is what a restarted network does: all sockets end at once, and the devices come back as soon as they can.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .plan import PLACES, Connect, Cut, Script, sends

if TYPE_CHECKING:
    from .plan import Action, Behaviour

RAMP = 1000
"""Devices that connect in a second while the fleet assembles."""
CALM = 5_000
"""Milliseconds in which everybody is connected: before the storm, and after it."""


def length(devices: int, within: int) -> int:
    """Milliseconds that a storm takes; ``within``: those in which the victims come back."""
    return _assembled(devices) + CALM + within + CALM


def _assembled(devices: int) -> int:
    return devices * 1000 // RAMP


def storm(
    seed: int, devices: int, victims: int, *, within: int = 10_000, rate: float = 0.1, prefix: str = ""
) -> tuple[Script, ...]:
    """Write the scripts: all connect, ``victims`` of them are cut at one moment and return within ``within`` ms.

    ``rate``: messages per second of a connected device; ``prefix``: of the product ids. Raises `ValueError` on
    arguments of which no storm can be made.
    """
    if not 0 < victims <= devices or within <= 0 or rate <= 0:
        raise ValueError("a storm needs victims among its devices, time for their return and a positive rate")
    unlucky = set(random.Random(f"{seed}/victims").sample(range(devices), victims))
    end, cut = length(devices, within), _assembled(devices) + CALM
    scripts = []
    for n in range(devices):
        rng, begin = random.Random(f"{seed}/{n}"), n * 1000 // RAMP
        up: list[Action] = [*sends(rng, begin, cut if n in unlucky else end, rate)]
        if n in unlucky:
            back = cut + rng.randrange(within)
            up += [Cut(cut, written=True), Connect(back), *sends(rng, back, end, rate)]
        scripts.append(_script(n, prefix, "storm" if n in unlucky else "steady", (Connect(begin), *up)))
    return tuple(scripts)


def _script(n: int, prefix: str, behaviour: Behaviour, actions: tuple[Action, ...]) -> Script:
    station, place = divmod(n, len(PLACES))
    return Script(
        product_id=f"{prefix}-{PLACES[place]}" if prefix else PLACES[place],
        device_id=f"station-{station:04}",
        behaviour=behaviour,
        protocol=5,
        offset=n,
        actions=actions,
    )
