"""``python -m services.commands``."""

from libs.runtime.main import run

from .app import start
from .settings import CommandsSettings

run("commands", CommandsSettings, start)
