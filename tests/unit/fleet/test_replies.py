from __future__ import annotations

import pytest

from fleet.replies import filters, reply


@pytest.mark.parametrize(
    ("topic", "answer"),
    [
        ("cmd/p/d/unlock/plain/r1", "cmd_resp/p/d/unlock/r1/r1"),
        ("cmd/p/d/unlock/plain/r1/1700000000", "cmd_resp/p/d/unlock/r1/r1"),
        ("rpc/p/d/read/plain/r1/1700000000", "rpc_resp/p/d/read/r1/r1"),
        ("/sys/p/d/rrpc/request/m1", "/sys/p/d/rrpc/response/m1"),
        ("cmd/p/d/$set_ntp/plain/r1", None),
        ("cmd/p/d/unlock", None),
    ],
)
def test_commands_and_probes_are_answered_with_what_they_brought(topic: str, answer: str | None) -> None:
    assert reply(topic, b"{}") == (None if answer is None else (answer, b"{}"))


def test_a_device_hears_what_is_sent_to_it_alone() -> None:
    assert all("/p/d/" in topic and qos == 1 for topic, qos in filters(("p", "d")))
