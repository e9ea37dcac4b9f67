"""One description of the Kafka connection, for both client libraries: librdkafka and, under Faust, aiokafka."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

from .logs import Repetitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import KafkaSettings

KEYED: Final[Mapping[str, str]] = {"partitioner": "murmur2_random"}
"""librdkafka's name for the partitioner of the Java client and of aiokafka; its own default would put a device's
records into another partition than theirs. For producers only."""

DURABLE: Final[Mapping[str, Any]] = {"acks": "all", "enable.idempotence": True}
"""A producer whose acknowledgement means: on every in-sync replica, once, in order."""

QUIET: Final[Mapping[str, Any]] = {"log_level": 0}
"""For a client that is asked now and then and never polled: while Kafka is away it has about 17 lines a second to
say, and they would wait in memory. What matters of them is raised where it is asked."""

client_log: Final = logging.getLogger("librdkafka")
client_log.addFilter(Repetitions(seconds=30.0))


def client_config(settings: KafkaSettings, **extra: Any) -> dict[str, Any]:
    """Configure a producer, consumer or admin client of confluent_kafka; ``extra`` wins.

    What the client itself has to say goes to `client_log`, when it is polled; see `QUIET` for one that is not.
    Lines that wait for a poll count in ``len(producer)``, as records do.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings.servers()),
        "security.protocol": settings.security_protocol,
        # Without it, small requests wait for the acknowledgement of the ones before.
        "socket.nagle.disable": True,
        "logger": client_log,
    }
    if settings.authenticated:
        config["sasl.mechanism"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = settings.sasl_password.reveal()
    if settings.encrypted:
        files = {
            "ssl.ca.location": settings.ssl_ca_file,
            "ssl.certificate.location": settings.ssl_cert_file,
            "ssl.key.location": settings.ssl_key_file,
        }
        config |= {name: file for name, file in files.items() if file}
    return config | extra


def faust_config(settings: KafkaSettings) -> dict[str, Any]:
    """Options of a Faust app: ``broker`` and, where connections are authenticated or encrypted, ``broker_credentials``.

    Raises OSError where a certificate file cannot be read.
    """
    options: dict[str, Any] = {"broker": ";".join(f"kafka://{server}" for server in settings.servers())}
    if settings.security_protocol == "PLAINTEXT":
        return options
    from faust.auth import SASLCredentials, SSLCredentials  # noqa: PLC0415 - services without Faust do not load it

    context = ssl_context(settings) if settings.encrypted else None
    if settings.authenticated:
        options["broker_credentials"] = SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.reveal(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    else:
        options["broker_credentials"] = SSLCredentials(context)
    return options


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Make a client's context, which verifies brokers and their host names.

    Raises OSError (ssl.SSLError is one) where a file is missing or not PEM.
    """
    context = ssl.create_default_context(cafile=settings.ssl_ca_file or None)
    if settings.ssl_cert_file:
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file)
    return context
