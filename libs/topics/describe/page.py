"""``docs/topics.md``: the catalog for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from libs.topics import names
from libs.topics.topic import DAY, FOREVER, OUTSIDE, Topic

from . import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.topics.messages.base import Message

SCHEMAS: Final = "../libs/topics/schemas"
EXAMPLES: Final = "../libs/topics/examples"

HEAD: Final = """\
# Topics

Made from the catalog in `libs/topics` by `./just generate`; do not edit. The same as an
[AsyncAPI 3 document](asyncapi.json).

Every value is one JSON object whose first field, `type`, names the message. Fields that a schema does not name may
appear: ignore them. A device's payload that is valid JSON stands in `payload` as it came (`"encoding": "json"`),
anything else as base64. Times are Unix milliseconds. Topics without a partition count share the installation's (24 by
default), so that one key is in the same partition of all of them; keys are placed by murmur2.

`live` topics carry records and their schemas stay compatible. `planned` topics exist, the devices' part of them is
written already, and their schemas may still change.
"""


FLOWS: Final = """\
## How records flow when all services are there

Dead letters and changelogs are left out. A dotted line is a feed: the same record, written to an inbox too.
"""


def text(topics: Sequence[Topic]) -> str:
    parts = [
        HEAD,
        _overview(topics),
        "## How records flow today",
        _graph(_today(topics), _running(topics)),
        FLOWS,
        _graph([topic for topic in topics if _carries_the_plot(topic)], None),
        "## Topic by topic",
        *(_section(topic, topics) for topic in topics),
        _messages(topics),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _carries_the_plot(topic: Topic) -> bool:
    return topic.format == "json" and not topic.name.endswith(names.dead_letters(""))


def _today(topics: Sequence[Topic]) -> list[Topic]:
    """Live topics and the inboxes they feed, which devices' messages reach already."""
    live = [topic for topic in topics if topic.stage == "live" and _carries_the_plot(topic)]
    fed = {name for topic in live for name in topic.feeds}
    return [topic for topic in topics if topic in live or topic.name in fed]


def _running(topics: Sequence[Topic]) -> frozenset[str]:
    """Who takes part today: the services that have live dead letters, and whoever is outside the hub."""
    live = {topic.name for topic in topics if topic.stage == "live"}
    everybody = {name for topic in topics for name in (*topic.producers, *topic.consumers)}
    return frozenset(name for name in everybody if name in OUTSIDE or names.dead_letters(name) in live)


def _overview(topics: Sequence[Topic]) -> str:
    rows = [
        f"| [`{topic.name}`](#{_anchor(topic.name)}) | {topic.stage} | {', '.join(topic.producers)} "
        f"| {', '.join(topic.consumers)} | {_retention(topic)} |"
        for topic in topics
    ]
    return "\n".join(["| topic | stage | written by | read by | kept |", "|---|---|---|---|---|", *rows])


def _section(topic: Topic, topics: Sequence[Topic]) -> str:
    facts = [
        ("key", topic.key),
        ("types", _type_links(topic)),
        ("written by", ", ".join(topic.producers)),
        ("read by", ", ".join(topic.consumers)),
        ("feeds", ", ".join(_feed(topic, inbox) for inbox in topics if inbox.name in topic.feeds)),
        ("announced to them", ", ".join(_type_link(kind) for kind in topic.announced)),
        ("broadcasts", "once per partition, under a key that begins with a zero byte" if topic.broadcasts else ""),
        ("kept", _retention(topic)),
        ("partitions", "as all keyed topics" if topic.partitions is None else str(topic.partitions)),
        ("settings", ", ".join(f"`{name}={value}`" for name, value in sorted(topic.config.items()))),
        ("stage", topic.stage),
    ]
    rows = [f"| {name} | {value} |" for name, value in facts if value]
    return "\n".join([f"### {topic.name}\n", f"{topic.purpose}\n", "| | |", "|---|---|", *rows])


def _type_links(topic: Topic) -> str:
    if topic.format == "lane-row":
        return "a lane's own binary rows, of no use to anybody else"
    if topic.format == "none":
        return "nothing, ever"
    return ", ".join(_type_link(kind) for kind in topic.types)


def _feed(log: Topic, inbox: Topic) -> str:
    """An inbox that a log feeds; where it does not take all types, the fewer of those that it takes and the others."""
    link = f"[`{inbox.name}`](#{_anchor(inbox.name)})"
    taken = [kind for kind in log.types if kind in inbox.types]
    others = [kind for kind in log.types if kind not in inbox.types]
    if not others:
        return link
    word, some = ("only", taken) if len(taken) < len(others) else ("without", others)
    return f"{link} ({word} {', '.join(_type_link(kind) for kind in some)})"


def _type_link(kind: type[Message]) -> str:
    tag = str(kind.__struct_config__.tag)
    return f"[`{tag}`](#{tag})"


def _messages(topics: Iterable[Topic]) -> str:
    kinds: dict[str, type[Message]] = {}
    for topic in topics:
        kinds |= zip(topic.kinds, topic.types, strict=True)
    rows = [
        f'| <a id="{name}"></a>`{name}` | {_in_a_cell(words.of_type(kinds[name]))} '
        f"| [schema]({SCHEMAS}/{name}.json), [examples]({EXAMPLES}/{name}) |"
        for name in sorted(kinds)
    ]
    return "\n".join(["## Messages\n", "| type | what it says | |", "|---|---|---|", *rows])


def _in_a_cell(text: str) -> str:
    """Keep a bar from ending the cell, which it would in code, too."""
    return text.replace("|", r"\|")


def _retention(topic: Topic) -> str:
    if topic.cleanup == "compact":
        return "newest per key (compacted)"
    days = topic.retention_ms // DAY
    return "for ever" if topic.retention_ms == FOREVER else f"{days} {'day' if days == 1 else 'days'}"


def _graph(topics: Sequence[Topic], services: frozenset[str] | None) -> str:
    """Services are round, topics are stores; ``services``: who is drawn, None for everybody."""
    edges = [edge for topic in topics for edge in _edges(topic, topics, services)]
    nodes = sorted({name for topic in topics for name in (*topic.producers, *topic.consumers)})
    lines = [f"  {_node(name)}([{name}])" for name in nodes if any(_node(name) in edge.split() for edge in edges)]
    lines += [f"  {_node(topic.name)}[({topic.name})]" for topic in topics]
    return "\n".join(["```mermaid", "flowchart LR", *lines, *edges, "```"])


def _edges(topic: Topic, topics: Sequence[Topic], services: frozenset[str] | None) -> list[str]:
    """Producers and consumers of a topic, and dotted from a log to what it feeds: instead of the log's service."""
    feeders = {service for other in topics if topic.name in other.feeds for service in other.producers}
    producers = [name for name in topic.producers if name not in feeders]
    consumers = [name for name in topic.consumers if not _by_feed(topic, name)]
    return [
        *(f"  {_node(name)} --> {_node(topic.name)}" for name in producers if services is None or name in services),
        *(f"  {_node(topic.name)} -.-> {_node(inbox)}" for inbox in topic.feeds),
        *(f"  {_node(topic.name)} --> {_node(name)}" for name in consumers if services is None or name in services),
    ]


def _by_feed(topic: Topic, service: str) -> bool:
    """Whether a service reads the topic's records from its own inbox."""
    return any(inbox.startswith(f"{service}.") for inbox in topic.feeds)


def _node(name: str) -> str:
    """An identifier for mermaid; a prefix keeps services and words of the language apart."""
    return "n_" + re.sub(r"[^a-z]", "_", name)


def _anchor(name: str) -> str:
    """How Markdown renderers name a heading: punctuation goes, hyphens stay."""
    return name.replace(".", "")
