"""The messages of all forms as vectors, and what is none of them."""

from __future__ import annotations

import json

import pytest

from fleetlog_device.payload import BadPayload
from fleetlog_device.shadow_dialects import NAMED_REPLY, NAMED_UPDATE, REPLY, UPDATE, Aliyun, IotHub, Native
from fleetlog_device.shadow_documents import Accepted, Document, Refused
from fleetlog_device.topics import Topics

TOPICS = Topics("p1", "d1", "p1/d1")


def test_the_vectors_of_the_aliyun_form() -> None:
    dialect = Aliyun(TOPICS)
    assert dialect.pull("m") == ("/shadow/p1/d1/update", b'{"method":"get"}')
    report = b'{"method":"update","state":{"reported":{"color":"red"}},"version":1}'
    assert dialect.report("m", {"color": "red"}, Document()) == ("/shadow/p1/d1/update", report)
    gone = b'{"method":"delete","state":{"reported":{"color":"null"}},"version":5}'
    assert dialect.delete("m", ("color",), Document(version=4)) == ("/shadow/p1/d1/update", gone)
    both = b'{"method":"update","state":{"reported":{"color":"green"},"desired":"null"},"version":4}'
    assert dialect.acknowledge("m", Document(desired={"color": "green"}, version=3)) == ("/shadow/p1/d1/update", both)

    success = b'{"method":"reply","payload":{"status":"success","version":1},"timestamp":1469564576}'
    assert dialect.read(success) == Accepted(1)
    refusal = (
        b'{"method":"reply","payload":{"status":"error","content":{"errorcode":"409","errormessage":"no"}},'
        b'"timestamp":1469564576}'
    )
    assert dialect.read(refusal) == Refused("409", "no")
    metadata = {"reported": {"color": {"timestamp": 1469564492}}, "desired": {"color": {"timestamp": 1469564576}}}
    content = {"state": {"reported": {"color": "red"}, "desired": {"color": "green"}}, "metadata": metadata}
    control = {"method": "control", "payload": content, "version": 2, "timestamp": 1469564576}
    document = Document({"color": "red"}, {"color": "green"}, metadata, 2, 1469564576)
    assert dialect.read(json.dumps(control).encode()) == document
    got = {**control, "method": "reply", "payload": {"status": "success", **content}}
    assert dialect.read(json.dumps(got).encode()) == document
    empty = {"method": "reply", "payload": {"status": "success", "state": {}, "metadata": {}}, "version": 0}
    assert dialect.read(json.dumps(empty).encode()) == Document()


def test_the_vectors_of_the_iothub_form() -> None:
    dialect = IotHub(TOPICS)
    assert dialect.pull("m")[0] == "get/p1/d1/$shadow/m"
    report = b'{"state":{"reported":{"lights":"off"}},"version":1}'
    assert dialect.report("m", {"lights": "off"}, Document(version=1)) == (
        "upload_data/p1/d1/$shadow_reported/m",
        report,
    )
    acknowledgement = b'{"state":{"desired":null},"version":1}'
    assert dialect.acknowledge("m", Document(desired={"lights": "off"}, version=1)) == (
        "upload_data/p1/d1/$shadow_updated/m",
        acknowledgement,
    )

    update = (
        b'{"state":{"reported":{"lights":"on"},"desired":{"lights":"off"}},"metadata":{"reported":{"lights":'
        b'{"timestamp":123456789}}},"version":1,"timestamp":123456789}'
    )
    metadata = {"reported": {"lights": {"timestamp": 123456789}}}
    assert dialect.read(UPDATE, update) == Document({"lights": "on"}, {"lights": "off"}, metadata, 1, 123456789)
    assert dialect.read(UPDATE, b'{"state":{},"metadata":{},"version":0}') == Document()
    assert dialect.read(REPLY, b'{"status":"success","timestamp":123456789,"version":2}') == Accepted(2)


def test_the_vectors_of_the_native_form() -> None:
    dialect, night = Native(TOPICS), Native(TOPICS, "night")
    assert dialect.pull("m") == ("get/p1/d1/$shadow/m", b'{"shadow":null}')
    assert night.pull("m") == ("get/p1/d1/$shadow/m", b'{"shadow":"night"}')
    topic = "upload_data/p1/d1/$shadow_reported/m"
    first = b'{"state":{"reported":{"lights":"off"}}}'
    assert dialect.report("m", {"lights": "off"}, Document(version=9)) == (topic, first)
    known = Document({"lights": "on"}, {"lights": "off", "on": True}, {}, 9, None, 3)
    second = b'{"state":{"reported":{"lights":"off","on":true}},"reported_version":3,"shadow":"night"}'
    assert night.acknowledge("m", known) == (topic, second)
    gone = b'{"state":{"reported":{"lights":null}},"reported_version":3}'
    assert dialect.delete("m", ("lights",), known) == (topic, gone)

    told = {"state": {"desired": {"a": 1}}, "metadata": {}, "version": 4, "timestamp": 5, "reported_version": 3}
    assert dialect.read(UPDATE, json.dumps({**told, "delta": {"a": 1}}).encode()) == Document({}, {"a": 1}, {}, 4, 5, 3)
    assert dialect.read(NAMED_UPDATE, json.dumps({**told, "shadow": "night"}).encode()) == Document(
        {}, {"a": 1}, {}, 4, 5, 3
    )
    reply = b'{"status":"success","timestamp":5,"version":6,"reported_version":6,"shadow":"night"}'
    assert dialect.read(NAMED_REPLY, reply) == Accepted(6, 6)
    unknown = b'{"status":"unknown_shadow","timestamp":5,"version":0,"reported_version":0,"shadow":"night"}'
    assert dialect.read(NAMED_REPLY, unknown) == Document(reported_version=0)
    assert dialect.read(REPLY, b'{"status":"document_too_large","timestamp":5,"version":2}') == Refused(
        "document_too_large", ""
    )
    assert [Native.name(payload) for payload in (reply, b"{}")] == ["night", None]


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"state":[],"version":1}',
        b'{"state":{"desired":1},"version":1}',
        b'{"state":{},"version":"1"}',
        b'{"method":"reply","payload":{"status":"error"}}',
        b'{"method":"other","payload":{"status":"success","version":1}}',
        b'{"method":"reply","payload":{"status":"success"}}',
    ],
)
def test_what_is_not_of_the_dialect_is_refused(payload: bytes) -> None:
    with pytest.raises(BadPayload):
        IotHub.read(UPDATE, payload)
    with pytest.raises(BadPayload):
        Aliyun.read(payload)
    with pytest.raises(BadPayload):
        Native.read(UPDATE, payload)
