"""The wiring holds what the parts assume of each other."""

from __future__ import annotations

from libs.runtime.settings import load
from libs.topics import catalog, names
from services.ingest import letters
from services.ingest.app import FILTERS, OUTPUTS
from services.ingest.connections import LOG_TOPICS
from services.ingest.routes import ROUTES
from services.ingest.settings import IngestSettings


def covers(pattern: str, topic: str) -> bool:
    wanted, levels = pattern.split("/"), topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or level not in {"+", levels[at]}:
            return False
    return len(wanted) == len(levels)


def test_every_route_is_subscribed_to_by_exactly_one_filter() -> None:
    examples = [
        "/".join("x" if "{" in level else level for level in route.template.replace("{mode:cmd|rpc}", "cmd").split("/"))
        for route in ROUTES
    ]
    examples += ["rpc_resp/x/x/x/x/x", *LOG_TOPICS]
    for topic in examples:
        assert [pattern for pattern in FILTERS if covers(pattern, topic)] != [], topic
        assert len([pattern for pattern in FILTERS if covers(pattern, topic)]) == 1, topic


def test_the_resume_filter_looks_into_every_topic_that_is_written() -> None:
    assert set(OUTPUTS) == {route.topic for route in ROUTES} | {names.PRESENCE_INBOX, letters.TOPIC}
    for name in OUTPUTS:
        assert "ingest" in catalog.get(name).producers


def test_the_largest_payload_fits_the_largest_packet() -> None:
    assert load(IngestSettings, {}).max_payload < 512 * 1024 - 66_000
