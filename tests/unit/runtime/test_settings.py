from __future__ import annotations

import pytest

from libs.runtime.settings import (
    ClickHouseSettings,
    KafkaSettings,
    MqttSettings,
    Secret,
    ServiceSettings,
    Settings,
    SettingsError,
    load,
)

SASL = {
    "FLEETLOG_KAFKA_SASL_MECHANISM": "PLAIN",
    "FLEETLOG_KAFKA_SASL_USERNAME": "hub",
    "FLEETLOG_KAFKA_SASL_PASSWORD": "geheim",
}
CERTIFICATE = {"FLEETLOG_KAFKA_SSL_CERT_FILE": "cert.pem", "FLEETLOG_KAFKA_SSL_KEY_FILE": "key.pem"}
AUTHORITY = {"FLEETLOG_KAFKA_SSL_CA_FILE": "ca.pem"}


class Edges(Settings, frozen=True, kw_only=True):
    mqtt: MqttSettings = MqttSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()


def protocol(name: str) -> dict[str, str]:
    return {"FLEETLOG_KAFKA_SECURITY_PROTOCOL": name}


@pytest.mark.parametrize(
    "environ",
    [
        protocol("PLAINTEXT"),
        protocol("SSL"),
        protocol("SSL") | AUTHORITY | CERTIFICATE,
        protocol("SASL_PLAINTEXT") | SASL,
        protocol("SASL_SSL") | SASL | AUTHORITY | CERTIFICATE,
        {"FLEETLOG_KAFKA_BOOTSTRAP": "a:1, b.example:2,[::1]:3"},
    ],
)
def test_each_security_protocol_has_a_configuration_that_is_taken(environ: dict[str, str]) -> None:
    load(ServiceSettings, environ)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (protocol("SASL_SSL"), {"SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD"}),
        (protocol("SASL_PLAINTEXT") | SASL | AUTHORITY, {"SSL_CA_FILE"}),
        (SASL, {"SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD"}),
        (AUTHORITY | CERTIFICATE, {"SSL_CA_FILE", "SSL_CERT_FILE", "SSL_KEY_FILE"}),
        (protocol("SSL") | {"FLEETLOG_KAFKA_SSL_CERT_FILE": "c"}, {"SSL_KEY_FILE"}),
        (protocol("SSL") | {"FLEETLOG_KAFKA_SSL_KEY_FILE": "k"}, {"SSL_CERT_FILE"}),
        ({"FLEETLOG_KAFKA_BOOTSTRAP": "a"}, {"BOOTSTRAP"}),
        ({"FLEETLOG_KAFKA_BOOTSTRAP": "a:1,"}, {"BOOTSTRAP"}),
        ({"FLEETLOG_KAFKA_BOOTSTRAP": "a:x"}, {"BOOTSTRAP"}),
        ({"FLEETLOG_KAFKA_BOOTSTRAP": ":9092"}, {"BOOTSTRAP"}),
    ],
)
def test_what_does_not_fit_the_security_protocol_is_refused(environ: dict[str, str], told: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(ServiceSettings, environ)
    assert {problem.variable for problem in caught.value.problems} == {f"FLEETLOG_KAFKA_{name}" for name in told}


def test_servers_are_the_bootstrap_list_without_spaces() -> None:
    assert KafkaSettings(bootstrap="a:1, b:2").servers() == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("variable", "raw"),
    [
        ("FLEETLOG_MQTT_PORT", "0"),
        ("FLEETLOG_MQTT_HOST", ""),
        ("FLEETLOG_CLICKHOUSE_URL", "127.0.0.1:8123"),
        ("FLEETLOG_CLICKHOUSE_DATABASE", "a; drop"),
        ("FLEETLOG_CLICKHOUSE_USERNAME", ""),
    ],
)
def test_edges_refuse_what_cannot_be_meant(variable: str, raw: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load(Edges, {variable: raw})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"TLS_CA_FILE": "ca", "TLS_CERT_FILE": "c", "TLS_KEY_FILE": "k"}, set()),
        ({"TLS_CERT_FILE": "c", "TLS_KEY_FILE": "k"}, {"TLS_CERT_FILE", "TLS_KEY_FILE"}),
        ({"TLS_CA_FILE": "ca", "TLS_CERT_FILE": "c"}, {"TLS_KEY_FILE"}),
        ({"TLS_CA_FILE": "ca", "TLS_KEY_FILE": "k"}, {"TLS_CERT_FILE"}),
    ],
)
def test_a_client_certificate_needs_its_key_and_encryption(given: dict[str, str], told: set[str]) -> None:
    environ = {f"FLEETLOG_MQTT_{name}": value for name, value in given.items()}
    problems = set[str]()
    try:
        load(Edges, environ)
    except SettingsError as error:
        problems = {problem.variable for problem in error.problems}
    assert problems == {f"FLEETLOG_MQTT_{name}" for name in told}


def test_passwords_are_secrets() -> None:
    edges = load(Edges, {"FLEETLOG_MQTT_PASSWORD": "geheim", "FLEETLOG_CLICKHOUSE_PASSWORD": "geheim"})
    assert edges.mqtt.password == edges.clickhouse.password == Secret("geheim")
    assert "geheim" not in repr(edges)
