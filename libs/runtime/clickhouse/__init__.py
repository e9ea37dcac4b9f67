"""ClickHouse over HTTP: the client, what its errors mean, and numbered migrations."""

from .client import connect, reader
from .migrations import MigrationError, migrate

__all__ = ["MigrationError", "connect", "migrate", "reader"]
