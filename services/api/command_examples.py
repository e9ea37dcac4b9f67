"""Examples of commands for the OpenAPI document, told of the same plant as `examples`."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, structs
from msgspec.structs import asdict

from . import command_documents as cd
from . import fanout_documents as fd
from .examples import AT

REQUEST_ID: Final = "c-m2Tq3Jb6QGqk0dUq2mJ0Zg"
NEW_COMMAND: Final = {"name": "unlock", "payload": {"door": 2}, "ttl_s": 3600}
QUEUED_COMMAND: Final = cd.Command(
    product_id="plant-7",
    device_id="press-1",
    request_id=REQUEST_ID,
    fanout_id=None,
    mode="cmd",
    command="unlock",
    state="queued",
    attempts=0,
    accepted_at=AT,
    expires_at=AT + 3_600_000,
    sent_at=None,
    ended_at=None,
    reason=None,
    reply=None,
    by="ops",
)
REPLY: Final = cd.Reply("s-77", "json", Raw(b'{"open":true}'), AT + 42, 38, late=False)
REPLIED_COMMAND: Final = structs.replace(
    QUEUED_COMMAND, state="replied", attempts=1, sent_at=AT + 4, ended_at=AT + 42, reply=REPLY
)
CANCELLED_COMMAND: Final = structs.replace(
    QUEUED_COMMAND, state="cancelled", ended_at=AT + 9000, reason="cancelled by ops"
)
NEW_RPC: Final = {"name": "unlock", "payload": {"door": 2}, "timeout_s": 10}
REPLIED_RPC: Final = structs.replace(
    REPLIED_COMMAND, request_id="r-m2Tq3Jb6QGqk0dUq2mJ0Zg", mode="rpc", expires_at=AT + 10_000
)
SENT: Final[dict[str, Any]] = {
    "type": "command_sent",
    "id": "commands.inbox-2-1079-0",
    "product_id": "plant-7",
    "device_id": "press-1",
    "request_id": REQUEST_ID,
    "attempt": 1,
    "at": AT + 4,
}
COMMAND_DETAIL: Final = cd.CommandDetail(**asdict(REPLIED_COMMAND), steps=[cd.Step("command_sent", AT + 4, SENT)])
FANOUT_ID: Final = "f-m2Tq3Jb6QGqk0dUq2mJ0Zg"
MEMBERS_COMMAND: Final = structs.replace(
    QUEUED_COMMAND,
    request_id=FANOUT_ID,
    fanout_id=FANOUT_ID,
    state="expired",
    ended_at=AT + 3_600_000,
    reason="nobody replied until its time was over",
)
FAN_OUT_BEGUN: Final = fd.FanOutBegun(
    fanout_id=FANOUT_ID,
    product_id="plant-7",
    tag="hall-2",
    members=812,
    accepted=640,
    queued=171,
    refused=1,
    rejected=0,
    partitions=24,
)
FAN_OUT: Final = fd.FanOut(
    fanout_id=FANOUT_ID,
    product_id="plant-7",
    tag="hall-2",
    started_at=AT,
    partitions=24,
    members=812,
    refused=1,
    accepted=0,
    queued=170,
    sent=12,
    delivered=0,
    replied=628,
    failed=0,
    rejected=0,
    expired=1,
    cancelled=0,
    timed_out=0,
    open=182,
    late=1,
)
FAN_OUT_STREAM: Final = """\
retry: 1000

event: counts
data: {"fanout_id":"f-m2Tq3Jb6QGqk0dUq2mJ0Zg","product_id":"plant-7","tag":"hall-2","members":812,"open":182}

event: final
data: {"fanout_id":"f-m2Tq3Jb6QGqk0dUq2mJ0Zg","product_id":"plant-7","tag":"hall-2","members":812,"open":0}

"""
FAN_OUT_ENDED: Final = fd.FanOutEnded(fanout_id=FANOUT_ID, cancelled=182, partitions=24)
NEW_GROUP_RPC: Final = {"name": "unlock", "payload": {"door": 2}, "wait": "share", "share": 0.5}
GROUP_RPC: Final = fd.GroupRpc(
    fanout_id=FANOUT_ID,
    product_id="plant-7",
    tag="hall-2",
    members=2,
    replied=1,
    rejected=1,
    refused=0,
    failed=0,
    timed_out=0,
    cancelled=0,
    open=0,
    replies=[fd.MemberReply("press-1", REPLY)],
    replies_left_out=0,
)
NEW_PROBE: Final = cd.NewProbe(mode="strict")
PROBED: Final = cd.Probed("p-m2Tq3Jb6QGqk0dUq2mJ0Zg", "strict", "reachable", 1, 41, altered=False)
PROBE: Final = cd.Probe("p-m2Tq3Jb6QGqk0dUq2mJ0Zg", "strict", "reachable", 1, 41, altered=False, at=AT + 41)
NEW_MESSAGE: Final = {"topic": "recipes", "payload": {"recipe": 12}}
MESSAGE: Final = cd.MessageTaken("m-m2Tq3Jb6QGqk0dUq2mJ0Zg")
