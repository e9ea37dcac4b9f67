"""A device of a fleetlog hub, in ten lines. See the README."""

from .backoff import Backoff
from .buffer import BufferLimits
from .commands import Call
from .device import Device
from .errors import (
    BufferFull,
    ChecksumMismatch,
    CommandFailed,
    ConnectionLost,
    CredentialsRefused,
    DeviceError,
    DownloadFailed,
    Dropped,
    InstallFailed,
    InvalidName,
    JoinRefused,
    NoAnswer,
    NoSecret,
    NotConnected,
    PublishRefused,
    ReservedName,
    ShadowRefused,
    StoreMismatch,
)
from .join import join, join_over_http
from .ota import Upgrade, UpgradeFailure
from .shadow import Shadow
from .shadow_documents import Document
from .sqlite_store import SqliteStore, default_path
from .store import MemoryStore, Store
from .uplinks import Receipt

__all__ = [
    "Backoff",
    "BufferFull",
    "BufferLimits",
    "Call",
    "ChecksumMismatch",
    "CommandFailed",
    "ConnectionLost",
    "CredentialsRefused",
    "Device",
    "DeviceError",
    "Document",
    "DownloadFailed",
    "Dropped",
    "InstallFailed",
    "InvalidName",
    "JoinRefused",
    "MemoryStore",
    "NoAnswer",
    "NoSecret",
    "NotConnected",
    "PublishRefused",
    "Receipt",
    "ReservedName",
    "Shadow",
    "ShadowRefused",
    "SqliteStore",
    "Store",
    "StoreMismatch",
    "Upgrade",
    "UpgradeFailure",
    "default_path",
    "join",
    "join_over_http",
]
