"""Topic names, once. Constants for code; the catalog says what each topic is."""

from __future__ import annotations

from typing import Final

DEVICE_TELEMETRY: Final = "device.telemetry"

PRESENCE_INBOX: Final = "presence.inbox"
SHADOW_INBOX: Final = "shadow.inbox"
COMMANDS_INBOX: Final = "commands.inbox"
OTA_INBOX: Final = "ota.inbox"
OTA_CAMPAIGN_INBOX: Final = "ota.campaign-inbox"
REGISTRY_INBOX: Final = "registry.inbox"

REGISTRY_EVENTS: Final = "registry.events"
PRESENCE_TRANSITIONS: Final = "presence.transitions"
SHADOW_EVENTS: Final = "shadow.events"
COMMANDS_EVENTS: Final = "commands.events"
OTA_EVENTS: Final = "ota.events"

REGISTRY_DEVICES: Final = "registry.devices"
REGISTRY_PRODUCTS: Final = "registry.products"
REGISTRY_API_KEYS: Final = "registry.api-keys"
PRESENCE_STATE: Final = "presence.state"
SHADOW_DOCUMENTS: Final = "shadow.documents"
OTA_CAMPAIGNS: Final = "ota.campaigns"

APP_DATA_REQUESTS: Final = "app.data-requests"
APP_P2P: Final = "app.p2p"
DOWNLINK_MESSAGES: Final = "downlink.messages"
API_REPLIES: Final = "api.replies"

HUB_OWNERS: Final = "hub.owners"
INGEST_SHARDS: Final = "ingest.shards"


def dead_letters(service: str) -> str:
    """Where a service puts what it cannot take."""
    return f"{service}.dead-letters"


def changelog(service: str, table: str) -> str:
    """Where Faust keeps a lane's table: ``{app id}-{table}-changelog``."""
    return f"{service}-{table}-changelog"
