"""What devices say, in each dialect, and what they are answered; wire shapes are held by the dialects' own tests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.shadow.model import Speech
from tests.support.shadow.asking import acknowledge, aliyun, patch, presence, pull, report
from tests.support.shadow.hub import Hub, published


def answers(hub: Hub, message: Any) -> list[tuple[str, Any]]:
    """What a device is told upon its message: where, without the request id, and what."""
    told = published(hub.write(message))
    return [(one.topic.partition("/plain/")[0], msgspec.json.decode(one.payload)) for one in told]


def update(reported: Any, version: int) -> Any:
    return aliyun({"method": "update", "state": {"reported": reported}, "version": version})


def test_the_worked_sequence_of_the_aliyun_dialect_comes_out() -> None:
    hub = Hub()
    hub.write(presence("online"))
    versions = []

    def say(message: Any) -> Any:
        ((_, reply),) = answers(hub, message)
        versions.append(hub.classic.version)
        return reply["payload"]

    assert say(update({"color": "red"}, 1)) == {"status": "success", "version": 1}
    ((topic, control),) = answers(hub, patch({"color": "green"}))
    assert (topic, control["method"], control["version"]) == ("/shadow/p1/d1/get", "control", 2)
    assert say(update({"color": "green"}, 3)) == {"status": "success", "version": 3}
    cleared = aliyun({"method": "update", "state": {"desired": "null"}, "version": 4})
    assert say(cleared) == {"status": "success", "version": 4}
    error = say(update({"color": "green"}, 4))
    assert (error["status"], error["content"]["errorcode"]) == ("error", "409")
    assert versions == [1, 3, 4, 4]
    assert hub.events()[-1].code == "version_conflict"


def test_a_clock_as_version_locks_nobody_out() -> None:
    hub = Hub()
    hub.write(update({"a": 1}, 1_760_000_000_000))
    assert hub.classic.version == 1
    hub.write(update({"a": 2}, -1))
    assert hub.classic.version == 2


def test_an_acknowledgement_makes_desired_reported() -> None:
    hub = Hub()
    hub.write(report({"lights": "on", "old": 1}))
    hub.write(patch({"lights": "off"}))
    known = hub.classic.version
    ((topic, document),) = answers(hub, acknowledge(known - 1))
    assert (topic, document["version"]) == ("cmd/p1/d1/$update_shadow", known)
    ((topic, reply),) = answers(hub, acknowledge(known, "m2"))
    assert (topic, reply["status"], reply["version"]) == ("cmd/p1/d1/$shadow_reply", "success", known + 1)
    assert (hub.classic.desired, hub.classic.reported) == ({}, {"lights": "off", "old": 1})
    event = hub.events()[-1]
    assert (event.cause, event.via, event.cleared, event.reported) == (
        "acknowledged",
        "iothub",
        ("desired",),
        {"lights": "off"},
    )
    assert [one.path for one in event.converged] == ["/lights"]


def test_an_iothub_report_names_the_document_s_version() -> None:
    hub = Hub()
    ((topic, _),) = answers(hub, report({"a": 1}, version=0))
    assert topic == "cmd/p1/d1/$shadow_reply"
    hub.write(patch({"a": 2}))
    ((topic, document),) = answers(hub, report({"a": 3}, "m2", version=1))
    assert (topic, document["state"]["desired"], document["version"]) == ("cmd/p1/d1/$update_shadow", {"a": 2}, 2)
    assert hub.classic.reported == {"a": 1}


def test_a_native_report_is_never_refused_for_what_is_desired() -> None:
    hub = Hub()
    hub.write(report({"a": 1}, reported_version=0))
    for value in range(5):
        hub.write(patch({"a": value}))
    ((topic, reply),) = answers(hub, report({"a": 2}, "m2", reported_version=1))
    assert (topic, reply["status"], reply["reported_version"]) == ("cmd/p1/d1/$shadow_reply", "success", 7)
    ((topic, document),) = answers(hub, report({"a": 3}, "m3", reported_version=1))
    assert (topic, document["reported_version"]) == ("cmd/p1/d1/$update_shadow", 7)
    assert hub.classic.desired == {"a": 4}, "a native report never touches it"
    hub.write(report(None, "m4"))
    assert hub.classic.reported == {}


def test_a_named_shadow_has_its_own_version_and_commands() -> None:
    hub = Hub()
    ((topic, reply),) = answers(hub, pull("night"))
    assert (topic, reply["status"]) == ("cmd/p1/d1/$named_shadow_reply", "unknown_shadow")
    ((topic, reply),) = answers(hub, report({"blink": 1}, shadow="night"))
    assert (topic, reply["version"], reply["shadow"]) == ("cmd/p1/d1/$named_shadow_reply", 1, "night")
    ((topic, document),) = answers(hub, pull("night"))
    assert (topic, document["state"]) == ("cmd/p1/d1/$update_named_shadow", {"reported": {"blink": 1}})
    assert hub.row.classic is None


def test_a_pull_shows_an_empty_document_and_changes_nothing() -> None:
    hub = Hub()
    assert answers(hub, pull()) == [("cmd/p1/d1/$update_shadow", {"state": {}, "metadata": {}, "version": 0})]
    assert hub.row.classic is None
    assert hub.events() == []


@pytest.mark.parametrize(
    ("message", "code"),
    [(aliyun(b"nonsense"), "400"), (report({"a": 1}, version="x"), "invalid_version"), (report(3), "invalid_state")],
)
def test_what_cannot_be_read_is_told_the_device_and_the_log(message: Any, code: str) -> None:
    hub = Hub()
    ((_, reply),) = answers(hub, message)
    assert code in msgspec.json.encode(reply).decode()
    (event,) = hub.events()
    assert (event.code, event.detail.partition(":")[0]) == ("unreadable_message", code)
    assert hub.row.classic is None


def test_limits_hold_for_devices_too() -> None:
    hub = Hub()
    ((_, reply),) = answers(hub, report({"a": "x" * 40_000}))
    assert reply["status"] == "document_too_large"
    ((_, reply),) = answers(hub, update({"a": "x" * 40_000}, 1))
    assert reply["payload"]["content"]["errorcode"] == "408"
    assert hub.row.classic is None
    assert [event.code for event in hub.events()] == ["document_too_large"] * 2


def test_a_report_that_the_broker_delivers_again_is_answered_and_changes_nothing() -> None:
    hub = Hub()
    message = report({"a": 1}, "m7")
    first = answers(hub, message)
    row, events = hub.row, len(hub.events())
    assert answers(hub, message) == first
    assert (hub.row, len(hub.events())) == (row, events)
    hub.write(patch({"a": 2}))
    assert answers(hub, message) == first, "with the version that it made"
    assert len(hub.events()) == events + 1
    hub.write(report({"a": 3}, "m8"))
    hub.write(message)
    assert hub.classic.reported == {"a": 1}, "said after something else it is said anew"
    hub.write(acknowledge(hub.classic.version, "m9"))
    known = hub.classic.version
    ((topic, reply),) = answers(hub, acknowledge(known - 1, "m9"))
    assert (topic, reply["version"]) == ("cmd/p1/d1/$shadow_reply", known)
    assert hub.classic.version == known


@pytest.mark.parametrize("shadow", [None, "night"])
def test_a_native_report_is_answered_with_what_still_differs(shadow: str | None) -> None:
    hub = Hub()
    hub.write(presence("online"))
    hub.write(patch({"lights": "off", "fan": {"rpm": 5}}, shadow))
    named = {} if shadow is None else {"shadow": shadow}
    half = report({"lights": "off"}, "m1", **named)
    ((_, reply),) = answers(hub, half)
    assert (reply["version"], reply["delta"]) == (2, {"fan": {"rpm": 5}})
    assert answers(hub, half) == [(_, reply)], "also when it is delivered again"
    ((_, reply),) = answers(hub, report({"lights": "on", "fan": {"rpm": 5}}, "m2", **named))
    assert (reply["version"], reply["delta"]) == (3, {"lights": "off"}), "it drifted"
    hub.write(patch({"lights": "dim"}, shadow))
    ((_, reply),) = answers(hub, report({"lights": "on", "fan": {"rpm": 5}}, "m2", **named))
    assert (reply["version"], "delta" in reply) == (3, False), "that of a later version was told with it"
    ((_, reply),) = answers(hub, report({"lights": "dim"}, "m3", **named))
    assert "delta" not in reply


def test_the_dialect_spoken_last_about_the_own_shadow_is_remembered() -> None:
    hub = Hub()
    hub.write(aliyun({"method": "get"}, "verb_first"))
    assert hub.row.speech == Speech("aliyun", "verb_first")
    hub.write(report({"a": 1}, shadow="night"))
    assert hub.row.speech == Speech("aliyun", "verb_first")
    hub.write(report({"a": 1}))
    assert hub.row.speech == Speech("native")
    hub.write(pull())
    assert hub.row.speech == Speech("iothub")
