"""What devices and applications say to each other through the hub, and what goes out by MQTT."""

from __future__ import annotations

from typing import Final

from libs.topics import names
from libs.topics.messages.app import DataRequested
from libs.topics.messages.downlink import PublishMessage, SendToClient
from libs.topics.messages.telemetry import DataUploaded, DeviceMessageSent
from libs.topics.topic import DAY, DEVICE_KEY, WEEK, Topic

TOPICS: Final = (
    Topic(
        name=names.DEVICE_TELEMETRY,
        purpose="Everything that devices upload, as they sent it: time series or any other payload, device to device "
        "messages included. The place to start for applications and analysts.",
        key="product/device of the sender",
        types=(DataUploaded, DeviceMessageSent),
        producers=("ingest", "gateways"),
        consumers=("timeseries", "applications"),
        retention_ms=WEEK,
        stage="live",
    ),
    Topic(
        name=names.APP_DATA_REQUESTS,
        purpose="Pulls that an application answers: a device asked for a resource that is not the hub's own.",
        key=DEVICE_KEY,
        types=(DataRequested,),
        producers=("ingest",),
        consumers=("applications",),
        retention_ms=WEEK,
        stage="live",
    ),
    Topic(
        name=names.APP_P2P,
        purpose="Messages from applications to one client, on any topic and without a subscription of its own.",
        key="product/device of the receiver",
        types=(SendToClient,),
        producers=("applications", "api"),
        consumers=("downlink",),
        retention_ms=DAY,
        stage="live",
    ),
    Topic(
        name=names.DOWNLINK_MESSAGES,
        purpose="What the hub sends out by MQTT: commands, shadow documents, upgrades, probes, publishes to a tag.",
        key="product/device of the receiver, the fan-out's id for a publish to a tag",
        types=(PublishMessage,),
        producers=("commands", "shadow", "ota"),
        consumers=("downlink",),
        retention_ms=DAY,
        stage="live",
    ),
)
