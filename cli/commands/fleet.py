"""``fleetlog fleet``: the simulator, with its own options."""

from __future__ import annotations

import typer

from cli.exits import usage

OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def fleet(context: typer.Context) -> None:
    """Simulate devices, and check the hub.

    It has options of its own: `fleetlog fleet --help`.

    \b
    Example: fleetlog fleet --devices 1000 --seconds 30
    """
    try:
        from fleet.cli import main  # noqa: PLC0415 - needs the packages of a development checkout
    except ModuleNotFoundError as error:
        raise usage(
            f"the simulator needs {error.name}, which is not installed", "it belongs to a checkout: run `./just` in one"
        ) from error
    raise typer.Exit(main(context.args))
