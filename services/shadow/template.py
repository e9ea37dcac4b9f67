"""A product's template: what the shadow of its device begins with. Pure.

What a device has set before it was registered stays; the template fills up what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .changes import Changed, Wish, current
from .decide import apply

if TYPE_CHECKING:
    from libs.runtime.lane.model import At
    from libs.shadow.trees import Tree

    from .decide import Denied
    from .model import Entry

TEMPLATE: Final = "template"


def begin(entry: Entry, template: Tree | None, at: At) -> Changed | Denied | None:
    """Say what a template makes of the device's own shadow; None: nothing."""
    if not template:
        return None
    known = current(entry, None, at.timestamp)
    desired = missing(_section(template, "desired"), known.desired)
    reported = missing(_section(template, "reported"), known.reported)
    if not desired and not reported:
        return None
    return apply(entry, Wish(None, "created", TEMPLATE, TEMPLATE, desired or None, reported or None), at)


def missing(template: Tree, state: Tree) -> Tree:
    """Return what a template has and a section has not, nested."""
    found: Tree = {}
    for key, value in template.items():
        if key not in state:
            if value is not None:
                found[key] = value
        elif value.__class__ is dict and state[key].__class__ is dict and (inner := missing(value, state[key])):
            found[key] = inner
    return found


def _section(template: Tree, name: str) -> Tree:
    """Return a section; one that is no object says nothing."""
    section = template.get(name)
    return section if isinstance(section, dict) else {}
