"""What can go wrong, by name. Every error is a `DeviceError`."""

from __future__ import annotations


class DeviceError(Exception):
    """Base of all errors of this package."""


class InvalidName(DeviceError, ValueError):
    """Not a name: names are 1 to 64 of A-Z a-z 0-9 _ -, since they enter topics and access rules."""


class ReservedName(InvalidName):
    """Names that begin with ``$`` are the hub's own; `Device` has a call of its own for each of them."""


class CredentialsRefused(DeviceError):
    """The hub lets this device in with none of the secrets that it has. ``reason`` is the broker's word."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the hub refused the device's credentials: {reason}")
        self.reason = reason


class ConnectionLost(DeviceError):
    """The connection failed, or was never made. `Device` makes a new one by itself; `join` raises it."""


class PublishRefused(DeviceError):
    """The broker will never take this message: no permission, or too large. It is not sent again."""


class BufferFull(DeviceError):
    """The buffer of uplinks has no room, and its policy is ``raise``; or the message is larger than all of it."""


class Dropped(DeviceError):
    """The buffer's policy threw the message away before the broker had it."""


class NotConnected(DeviceError):
    """There was no connection within the time given."""


class NoAnswer(DeviceError):
    """The hub, or the application, did not answer within the time given."""


class NoSecret(DeviceError):
    """No secret was given, and the store holds none: `join` first."""


class StoreMismatch(DeviceError):
    """The store belongs to another device, or a newer version of this package wrote it."""


class ShadowRefused(DeviceError):
    """The hub refused a shadow message. ``code`` is its error code, such as ``"408"``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"the hub refused the shadow message: {code} {message}".rstrip())
        self.code = code


class CommandFailed(DeviceError):
    """Raise it in a command's handler: the caller is answered with this code and message."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message


class DownloadFailed(DeviceError):
    """An upgrade could not be fetched; told to the hub as -1 where a handler lets it pass."""


class ChecksumMismatch(DeviceError):
    """What was fetched is not what the hub announced; told as -2."""


class InstallFailed(DeviceError):
    """Raise it in an upgrade's handler: told as -3."""


class JoinRefused(DeviceError):
    """The hub gives this device no credentials. ``code`` is the hub's, such as ``device_exists``."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"the hub refused to register the device: {code} {message}".rstrip())
        self.code = code
