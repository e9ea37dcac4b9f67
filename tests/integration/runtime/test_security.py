"""Both client libraries against a Kafka that authenticates and encrypts: one broker, a listener per protocol."""

from __future__ import annotations

import logging
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from msgspec.structs import replace

from devstack.kafka import server
from devstack.ports import HOST, Ports
from devstack.supervisor import Supervisor
from libs.runtime.kafka import DURABLE, KEYED, client_config, faust_config
from libs.runtime.settings import KafkaSettings, Secret
from tests.support.names import unique
from tests.support.polling import eventually
from tests.support.records import create_topic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct-horse"
PROTOCOLS = ("PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL")


def openssl(directory: Path, command: str) -> None:
    subprocess.run(("openssl", *command.split()), cwd=directory, check=True, capture_output=True, timeout=30)


def sign(directory: Path, name: str) -> None:
    """``name.pem``, ``name.key``: a certificate for loopback, signed by ``ca.pem``."""
    openssl(directory, f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
    (directory / "san").write_text(f"subjectAltName=IP:{HOST}")
    openssl(directory, f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 -extfile san -out {name}.pem")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    openssl(directory, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca")
    openssl(directory, "req -x509 -newkey rsa:2048 -nodes -keyout x.key -out other-ca.pem -days 2 -subj /CN=other")
    for name in ("broker", "client"):
        sign(directory, name)
    store = (directory / "broker.key").read_text() + (directory / "broker.pem").read_text()
    (directory / "broker-store.pem").write_text(store)
    return directory


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[dict[str, str]]:
    """Bootstrap servers per security protocol. The listener SSL demands a certificate of the client too."""
    directory = tmp_path_factory.mktemp("kafka")
    ports = Ports(directory / "ports.json")
    found = {protocol: f"{HOST}:{ports.claim(protocol)}" for protocol in PROTOCOLS}
    controller = ports.claim("controller")
    listeners = ",".join(f"{protocol}://{address}" for protocol, address in found.items())
    jaas = "org.apache.kafka.common.security"
    extra = {
        "listeners": f"{listeners},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{name}:{name}" for name in PROTOCOLS) + ",CONTROLLER:PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files / "broker-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        prefix = f"listener.name.{listener}"
        extra[f"{prefix}.sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256"
        extra[f"{prefix}.plain.sasl.jaas.config"] = (
            f'{jaas}.plain.PlainLoginModule required user_hub="{PASSWORD}";'  # no trailing text: Kafka parses it
        )
        extra[f"{prefix}.scram-sha-256.sasl.jaas.config"] = f"{jaas}.scram.ScramLoginModule required;"
    port = int(found["PLAINTEXT"].rpartition(":")[2])
    supervisor = Supervisor(directory, print)
    try:
        supervisor.start(server.program(directory / "kafka", port, controller, extra, directory / "kafka.log"))
        eventually(lambda: server.answers(found["PLAINTEXT"]), 60.0, describe="Kafka")
        yield found
    finally:
        supervisor.close()


@pytest.fixture(scope="module")
def topic(addresses: dict[str, str]) -> str:
    """A topic; the user ``hub`` may log in with SCRAM too."""
    admin = AdminClient({"bootstrap.servers": addresses["PLAINTEXT"]})
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    change = UserScramCredentialUpsertion("hub", scram, PASSWORD.encode())
    admin.alter_user_scram_credentials([change])["hub"].result(timeout=10)
    name = unique("secure")
    create_topic(addresses["PLAINTEXT"], name)
    return name


def settings(addresses: dict[str, str], files: Path, protocol: Any, mechanism: Any) -> KafkaSettings:
    found = KafkaSettings(bootstrap=addresses[protocol], security_protocol=protocol)
    if mechanism:
        found = replace(found, sasl_mechanism=mechanism, sasl_username="hub", sasl_password=Secret(PASSWORD))
    if found.encrypted:
        found = replace(found, ssl_ca_file=str(files / "ca.pem"))
    if protocol == "SSL":
        found = replace(found, ssl_cert_file=str(files / "client.pem"), ssl_key_file=str(files / "client.key"))
    return found


WAYS = [
    ("PLAINTEXT", ""),
    ("SASL_PLAINTEXT", "PLAIN"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
    ("SASL_SSL", "PLAIN"),
    ("SASL_SSL", "SCRAM-SHA-256"),
    ("SSL", ""),
]


def librdkafka_writes(kafka: KafkaSettings, topic: str, value: bytes) -> None:
    errors: list[Any] = []
    producer = Producer(client_config(kafka, **KEYED, **DURABLE))
    producer.produce(topic, key=b"a/b", value=value, on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [None]


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """What Faust hands to aiokafka."""
    options = faust_config(kafka)
    auth = credentials_to_aiokafka_auth(options.get("broker_credentials"), None)
    return {"bootstrap_servers": options["broker"].removeprefix("kafka://"), **auth}


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
async def test_what_librdkafka_writes_aiokafka_reads(
    addresses: dict[str, str], files: Path, topic: str, protocol: str, mechanism: str
) -> None:
    kafka = settings(addresses, files, protocol, mechanism)
    value = unique("value").encode()
    librdkafka_writes(kafka, topic, value)
    consumer = AIOKafkaConsumer(topic, auto_offset_reset="earliest", **aiokafka_options(kafka))
    await consumer.start()
    try:
        async for record in consumer:
            if record.value == value:
                break
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("way", "change"),
    [
        (("SASL_PLAINTEXT", "PLAIN"), {"sasl_password": Secret("wrong")}),
        (("SASL_SSL", "SCRAM-SHA-256"), {"sasl_password": Secret("wrong")}),
        (("SASL_SSL", "PLAIN"), {"ssl_ca_file": "other-ca.pem"}),
        (("SSL", ""), {"ssl_cert_file": "", "ssl_key_file": ""}),
    ],
    ids=["wrong password", "wrong password, SCRAM", "broker of another authority", "no client certificate"],
)
async def test_neither_library_gets_in_otherwise(
    addresses: dict[str, str],
    files: Path,
    caplog: pytest.LogCaptureFixture,
    way: tuple[str, str],
    change: dict[str, Any],
) -> None:
    if "ssl_ca_file" in change:
        change = {"ssl_ca_file": str(files / change["ssl_ca_file"])}
    kafka = replace(settings(addresses, files, *way), **change)
    admin = AdminClient(client_config(kafka))
    with caplog.at_level(logging.ERROR), pytest.raises(KafkaException):
        admin.list_topics(timeout=2)
    admin.poll(0)
    assert [record.name for record in caplog.records if record.name == "librdkafka"], "the reason is logged"
    producer = AIOKafkaProducer(request_timeout_ms=5000, **aiokafka_options(kafka))
    with pytest.raises(AiokafkaError):
        await producer.start()
    await producer.stop()
    assert PASSWORD not in caplog.text
