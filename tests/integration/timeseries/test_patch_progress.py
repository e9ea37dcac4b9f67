"""How far a patch by tag has come: who has done what it set, and not who was told something else before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libs.topics import names
from libs.topics.messages.shadow_changes import TaggedPatchApplied
from tests.support.names import unique
from tests.support.shadow_log import ShadowLog
from tests.support.stored import store

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

AT = int(time.time() * 1000) - 100_000


def lives(product: str, patch: str) -> dict[str, ShadowLog]:
    """One device for each thing that may happen to a patch."""
    logs = {
        name: ShadowLog(product, name, AT)
        for name in ("waits", "follows", "in-steps", "so-already", "drifts", "acknowledges", "overridden", "cleared")
    }
    logs["so-already"].report(AT, {"led": {"on": True}, "n": 2})
    for log in logs.values():
        log.desire(AT + 1_000, {"n": 2, "unreported": 1})
        log.desire(AT + 2_000, {"n": 2, "led": {"on": True, "old": None}}, patch_id=patch)
    done = {"n": 2, "led": {"on": True}}
    logs["follows"].report(AT + 3_000, done)
    logs["in-steps"].report(AT + 3_000, {"n": 2})
    logs["in-steps"].desire(AT + 4_000, {"other": 1})
    logs["in-steps"].report(AT + 5_000, {"led": {"on": True}})
    logs["drifts"].report(AT + 3_000, done)
    logs["drifts"].report(AT + 4_000, {"n": 1})
    logs["acknowledges"].report(AT + 3_000, done, via="aliyun")
    logs["acknowledges"].clear(AT + 4_000, "desired")
    logs["overridden"].desire(AT + 3_000, {"n": 3})
    logs["overridden"].report(AT + 4_000, {"n": 3, "led": {"on": True}, "unreported": 1})
    logs["cleared"].clear(AT + 3_000, "desired")
    return logs


def test_what_is_counted_has_done_what_the_patch_set(client: Client) -> None:
    product, patch = unique("p"), unique("patch")
    logs = lives(product, patch)
    applied = TaggedPatchApplied("i", patch, 0, product, "hall", None, len(logs), len(logs), 0, "ops", AT + 2_000)
    store(client, names.SHADOW_EVENTS, [*(event for log in logs.values() for event in log.events), applied])
    ask = f"SELECT changed, converged FROM shadow_patch_progress(product = '{product}', patch = '{patch}')"
    assert client.query(ask).result_rows == [(len(logs), 5)], "neither overridden, nor cleared, nor still waiting"
