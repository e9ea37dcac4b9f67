from __future__ import annotations

import logging
import ssl
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from libs.runtime.kafka import DURABLE, KEYED, QUIET, client_config, faust_config
from libs.runtime.settings import KafkaSettings, Secret

CREDENTIALS: dict[str, Any] = {
    "sasl_mechanism": "SCRAM-SHA-256",
    "sasl_username": "hub",
    "sasl_password": Secret("geheim"),
}
FILES: dict[str, Any] = {"ssl_ca_file": "ca.pem", "ssl_cert_file": "cert.pem", "ssl_key_file": "key.pem"}
SASL_CONFIG = {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "hub", "sasl.password": "geheim"}
FILES_CONFIG = {"ssl.ca.location": "ca.pem", "ssl.certificate.location": "cert.pem", "ssl.key.location": "key.pem"}


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (KafkaSettings(), {}),
        (KafkaSettings(security_protocol="SSL"), {}),
        (KafkaSettings(security_protocol="SSL", **FILES), FILES_CONFIG),
        (KafkaSettings(security_protocol="SASL_PLAINTEXT", **CREDENTIALS), SASL_CONFIG),
        (KafkaSettings(security_protocol="SASL_SSL", **CREDENTIALS, **FILES), SASL_CONFIG | FILES_CONFIG),
    ],
    ids=lambda value: value.security_protocol if isinstance(value, KafkaSettings) else "",
)
def test_librdkafka_is_told_the_security_protocol_and_no_more(settings: KafkaSettings, wanted: dict[str, str]) -> None:
    config = client_config(settings)
    assert config["security.protocol"] == settings.security_protocol
    assert {name: value for name, value in config.items() if name.startswith(("sasl.", "ssl."))} == wanted


def test_librdkafka_does_not_wait_to_fill_packets_and_knows_every_server() -> None:
    config = client_config(KafkaSettings(bootstrap="a:1, b:2"))
    assert config["socket.nagle.disable"] is True
    assert config["bootstrap.servers"] == "a:1,b:2"


def test_what_a_caller_adds_wins() -> None:
    config = client_config(KafkaSettings(), **{"client.id": "x", "socket.nagle.disable": False})
    assert config["client.id"] == "x"
    assert config["socket.nagle.disable"] is False


def test_librdkafka_knows_every_word_of_the_configuration() -> None:
    settings = KafkaSettings(bootstrap="127.0.0.1:1", security_protocol="SASL_PLAINTEXT", **CREDENTIALS)
    Producer(client_config(settings, **KEYED, **DURABLE, **QUIET))
    with pytest.raises(KafkaException, match="partitioner"):  # it would have said so
        Producer(client_config(settings, partitioner="murmur3"))


def test_a_client_that_is_not_polled_has_nothing_to_say(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = KafkaSettings(bootstrap="127.0.0.1:1")
    for extra, spoken in ((QUIET, False), ({}, True)):
        client = Producer(client_config(nowhere, **extra))
        client.produce("t", b"x")
        with caplog.at_level(logging.ERROR, "librdkafka"):
            client.flush(0.5)
        client.purge()
        client.flush(1)
        assert ("librdkafka" in {record.name for record in caplog.records}) is spoken


def test_faust_needs_no_credentials_in_plain_text() -> None:
    assert faust_config(KafkaSettings(bootstrap="a:1,b:2")) == {"broker": "kafka://a:1;kafka://b:2"}


def test_faust_is_told_user_mechanism_and_password() -> None:
    credentials = faust_config(KafkaSettings(security_protocol="SASL_PLAINTEXT", **CREDENTIALS))["broker_credentials"]
    assert credentials_to_aiokafka_auth(credentials) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "hub",
        "sasl_plain_password": "geheim",
        "ssl_context": None,
    }
    assert "geheim" not in repr(credentials)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (KafkaSettings(security_protocol="SSL"), SSLCredentials),
        (KafkaSettings(security_protocol="SASL_SSL", **CREDENTIALS), SASLCredentials),
    ],
)
def test_faust_verifies_brokers_and_their_names_when_encrypted(settings: KafkaSettings, kind: type) -> None:
    credentials = faust_config(settings)["broker_credentials"]
    assert isinstance(credentials, kind)
    auth = credentials_to_aiokafka_auth(credentials)
    assert auth["security_protocol"] == settings.security_protocol
    context = auth["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_certificate_file_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        faust_config(KafkaSettings(security_protocol="SSL", ssl_ca_file="/nowhere/ca.pem"))
