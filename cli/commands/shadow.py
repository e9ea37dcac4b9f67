"""Shadows: what devices should be, and what they are."""

from __future__ import annotations

import typer

from cli.commands.shadow_verify import verify

app = typer.Typer(no_args_is_help=True, help="What devices should be, and what they are.")
app.command()(verify)
