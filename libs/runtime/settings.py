"""The base of all settings and the groups that services share. `environment` says how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from .environment import Problem, Secret, Setting, Settings, SettingsError, describe, load

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BrokerApiSettings",
    "ClickHouseSettings",
    "KafkaSettings",
    "LogSettings",
    "MqttSettings",
    "OpsSettings",
    "Problem",
    "Secret",
    "ServiceSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "describe",
    "load",
]


class KafkaSettings(Settings, frozen=True, kw_only=True):
    bootstrap: Annotated[str, Meta(description="Brokers to begin with, `host:port` separated by commas.")] = (
        "127.0.0.1:9092"
    )
    partitions: Annotated[
        int, Meta(ge=1, le=10_000, description="Partitions of every keyed topic. Permanent for an installation.")
    ] = 24
    replication: Annotated[int, Meta(ge=1, le=16, description="Replicas of topics that are created.")] = 1
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(description="How connections are encrypted (SSL) and authenticated (SASL)."),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Meta(description="How SASL proves the password.")
    ] = ""
    sasl_username: Annotated[str, Meta(description="SASL user.")] = ""
    sasl_password: Annotated[Secret, Meta(description="SASL password.")] = Secret()
    ssl_ca_file: Annotated[
        str, Meta(description="PEM file of the authorities that sign the brokers; empty: the system's.")
    ] = ""
    ssl_cert_file: Annotated[str, Meta(description="PEM file of the client certificate; empty: none is shown.")] = ""
    ssl_key_file: Annotated[str, Meta(description="PEM file of the client certificate's key.")] = ""

    @property
    def encrypted(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def authenticated(self) -> bool:
        return self.security_protocol.startswith("SASL")

    def servers(self) -> list[str]:
        return [server.strip() for server in self.bootstrap.split(",")]

    def faults(self) -> Iterator[tuple[str, str]]:
        for server in self.servers():
            host, colon, port = server.rpartition(":")
            if not host or not colon or not port.isdecimal():
                yield "bootstrap", "must be host:port, separated by commas"
                break
        given = {name: bool(getattr(self, name)) for name in ("sasl_mechanism", "sasl_username", "sasl_password")}
        for name, present in given.items():
            if present is not self.authenticated:
                yield name, ("is needed by" if self.authenticated else "has no use with") + f" {self._protocol()}"
        if not self.encrypted:
            for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
                if getattr(self, name):
                    yield name, f"has no use with {self._protocol()}"
        elif self.ssl_cert_file and not self.ssl_key_file:
            yield "ssl_key_file", "is needed by the client certificate"
        elif self.ssl_key_file and not self.ssl_cert_file:
            yield "ssl_cert_file", "is needed beside its key"

    def _protocol(self) -> str:
        return f"security protocol {self.security_protocol}"


class OpsSettings(Settings, frozen=True, kw_only=True):
    host: Annotated[
        str,
        Meta(description="Address for health and metrics. Loopback unless a network that may read them needs another."),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port for health and metrics; 0: any free one.")] = 0


class LogSettings(Settings, frozen=True, kw_only=True):
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least severe records that are written.")
    ] = "info"
    format: Annotated[
        Literal["json", "console"], Meta(description="One JSON object per line, or lines for people.")
    ] = "json"


class MqttSettings(Settings, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1, description="The MQTT broker's host.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="The MQTT broker's port for the hub's own clients.")] = 1883
    username: Annotated[str, Meta(description="The hub's user name; empty: anonymous.")] = ""
    password: Annotated[Secret, Meta(description="The hub's password.")] = Secret()
    tls_ca_file: Annotated[
        str, Meta(description="PEM file of the authorities that sign the broker; empty: no encryption.")
    ] = ""
    tls_cert_file: Annotated[
        str, Meta(description="PEM file of the hub's own certificate, where the broker asks for one; empty: none.")
    ] = ""
    tls_key_file: Annotated[str, Meta(description="PEM file of that certificate's key, without a passphrase.")] = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.tls_ca_file:
            for name in ("tls_cert_file", "tls_key_file"):
                if getattr(self, name):
                    yield name, "has no use without FLEETLOG_MQTT_TLS_CA_FILE, which turns encryption on"
        elif self.tls_cert_file and not self.tls_key_file:
            yield "tls_key_file", "is needed by the client certificate"
        elif self.tls_key_file and not self.tls_cert_file:
            yield "tls_cert_file", "is needed beside its key"


class BrokerApiSettings(Settings, frozen=True, kw_only=True):
    """The broker's REST interface: which nodes run, and who is connected."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^/?#\s]+(/[^?#\s]*)?)?\Z",
            description="Address of EMQX's REST interface, such as `http://emqx:18083`; empty: it is not asked.",
        ),
    ] = ""
    key: Annotated[str, Meta(description="API key.")] = ""
    secret: Annotated[Secret, Meta(description="Secret of the API key.")] = Secret()
    tls_ca_file: Annotated[
        str, Meta(description="PEM file of the authorities that sign the interface; empty: the system's.")
    ] = ""


class ClickHouseSettings(Settings, frozen=True, kw_only=True):
    url: Annotated[
        str, Meta(pattern=r"^https?://", description="ClickHouse's HTTP interface, such as `https://host:8443`.")
    ] = "http://127.0.0.1:8123"
    database: Annotated[
        str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z", description="Database of the hub's tables.")
    ] = "fleetlog"
    username: Annotated[str, Meta(min_length=1, description="ClickHouse user.")] = "default"
    password: Annotated[Secret, Meta(description="ClickHouse password.")] = Secret()


class ServiceSettings(Settings, frozen=True, kw_only=True):
    """What every service has."""

    kafka: KafkaSettings = KafkaSettings()
    ops: OpsSettings = OpsSettings()
    log: LogSettings = LogSettings()
