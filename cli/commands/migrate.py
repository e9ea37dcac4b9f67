"""``fleetlog migrate``: the tables in ClickHouse."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments import Json
from cli.exits import Exit, Failure
from cli.world import CHECKOUT, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.runtime.settings import ClickHouseSettings


def folders(root: Path = CHECKOUT) -> dict[str, Path]:
    """Return the folders of migrations by the service that they belong to."""
    return {folder.parent.name: folder for folder in sorted(root.glob("services/*/migrations"))}


def migrate(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is to be applied; exit status 1 where something is.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring ClickHouse's tables up to date.

    A service does so itself at its start; here it can be done before.

    \b
    Example: fleetlog migrate --check
    """
    from libs.runtime.clickhouse import connect, migrations  # noqa: PLC0415 - its client takes a while to import

    session = Session(context, json=json)
    clickhouse = session.clickhouse()
    told: list[dict[str, str]] = []
    with _reported(clickhouse), closing(connect(clickhouse, "cli")) as client:
        run = migrations.missing if check else migrations.migrate
        for service, folder in folders().items():
            told += [{"service": service, "migration": name} for name in run(client, service, folder)]
    columns = {"service": "service", "migration": "to be applied" if check else "applied"}
    session.out.items(told, columns, "ClickHouse is up to date")
    if check and told:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _reported(clickhouse: ClickHouseSettings) -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415 - as above

    from libs.runtime.clickhouse import MigrationError  # noqa: PLC0415 - as above
    from libs.runtime.clickhouse.outages import is_outage  # noqa: PLC0415 - as above

    try:
        yield
    except MigrationError as error:
        raise Failure(
            Exit.FAILED, str(error), code="migrations_do_not_fit", advice="the database is not what this version knows"
        ) from error
    except ClickHouseError as error:
        away = is_outage(error)
        raise Failure(
            Exit.UNAVAILABLE if away else Exit.FAILED,
            f"ClickHouse at {clickhouse.url} {'does not answer' if away else 'refuses'}: {error}",
            code="clickhouse_unavailable" if away else "clickhouse_refused",
            advice="is it running, and is FLEETLOG_CLICKHOUSE_URL right?",
        ) from error
