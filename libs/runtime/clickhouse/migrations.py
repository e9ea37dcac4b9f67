"""Numbered migrations: a service's folder of ``NNNN_name.sql`` files, applied in order, each once.

``schema_migrations`` remembers what was applied, with the file's checksum. A file that changed after it was applied,
or a gap in the numbers, refuses the start: the database is then not what the code believes. Numbers above the newest
file are left alone: a newer version of the service was here, as in a rolling upgrade.

ClickHouse has no transactions over definitions, and two replicas of a service may start at once. Both are safe if
every statement can be repeated, so each must be: ``CREATE … IF NOT EXISTS``, ``ALTER TABLE … ADD COLUMN IF NOT
EXISTS``, and so on (`REPEATABLE`). A migration that was cut short by a crash is simply run again from its beginning.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from .statements import split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clickhouse_connect.driver.client import Client

FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
REPEATABLE: Final = re.compile(r"\bIF (NOT )?EXISTS\b|\bOR REPLACE\b|^\s*ALTER TABLE \S+ MODIFY\b", re.IGNORECASE)

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  service LowCardinality(String), number UInt16, name String, checksum String,
  applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = MergeTree ORDER BY (service, number)
SETTINGS non_replicated_deduplication_window = 1000
"""


class MigrationError(Exception):
    """The migrations and the database do not fit. Restarting does not help: exit with 78."""


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    checksum: str
    """SHA-256 of the file, in hex."""
    statements: tuple[str, ...]


class Applied(msgspec.Struct, frozen=True):
    number: int
    name: str
    checksum: str


def read(folder: Path) -> list[Migration]:
    """All migrations of ``folder`` by number. Raises `MigrationError` for a gap or a file that cannot be read."""
    migrations = [_read_one(path) for path in sorted(folder.glob("*.sql"))]
    if not migrations:
        raise MigrationError(f"{folder} holds no migration")
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationError(f"migration {expected:04} is missing: after it comes {_title(migration)}")
    return migrations


def pending(migrations: Sequence[Migration], applied: Sequence[Applied]) -> list[Migration]:
    """Say what is still to be applied. Pure. Raises `MigrationError` where the database tells another story."""
    files = {migration.number: migration for migration in migrations}
    for row in applied:
        migration = files.get(row.number)
        if migration is not None and migration.checksum != row.checksum:
            raise MigrationError(
                f"migration {_title(migration)} was changed after it had been applied "
                f"(sha256 {row.checksum[:12]}… then, {migration.checksum[:12]}… now): add a new one instead"
            )
    done = {row.number for row in applied}
    behind = [migration for migration in migrations if migration.number not in done]
    if behind and done and behind[0].number < max(done):
        raise MigrationError(f"migration {_title(behind[0])} was never applied, though later ones were")
    return behind


def migrate(client: Client, service: str, folder: Path) -> list[str]:
    """Apply what is missing; returns the names of the migrations that this call applied.

    Raises `MigrationError`, and clickhouse_connect's ``DatabaseError`` for a statement that fails.
    """
    migrations = read(folder)
    client.command(_TABLE)
    behind = pending(migrations, _applied(client, service))
    for migration in behind:
        for statement in migration.statements:
            client.command(statement)
        _record(client, service, migration)
    return [_title(migration) for migration in behind]


def missing(client: Client, service: str, folder: Path) -> list[str]:
    """Return the names of the migrations that `migrate` would apply. Raises as `migrate`."""
    client.command(_TABLE)
    return [_title(migration) for migration in pending(read(folder), _applied(client, service))]


def _read_one(path: Path) -> Migration:
    found = FILE_NAME.fullmatch(path.name)
    if found is None:
        raise MigrationError(f"{path.name} is not named like 0001_what_it_does.sql")
    content = path.read_bytes()
    try:
        statements = split(content.decode())
    except ValueError as error:
        raise MigrationError(f"{path.name}: {error}") from error
    for statement in statements:
        if not REPEATABLE.search(statement):
            raise MigrationError(f"{path.name}: a statement that cannot be repeated: {statement[:60]!r}")
    return Migration(int(found[1]), found[2], hashlib.sha256(content).hexdigest(), tuple(statements))


def _applied(client: Client, service: str) -> list[Applied]:
    rows = client.query(
        "SELECT DISTINCT number, name, checksum FROM schema_migrations WHERE service = {service:String}",
        parameters={"service": service},
    ).result_rows
    return [Applied(*row) for row in rows]


def _record(client: Client, service: str, migration: Migration) -> None:
    """Two replicas that applied it at the same time leave one row: both send the same token."""
    client.insert(
        "schema_migrations",
        [[service, migration.number, migration.name, migration.checksum]],
        column_names=["service", "number", "name", "checksum"],
        settings={"insert_deduplication_token": f"{service}-{migration.number}-{migration.checksum}"},
    )


def _title(migration: Migration) -> str:
    return f"{migration.number:04}_{migration.name}"
