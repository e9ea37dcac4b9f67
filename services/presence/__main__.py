"""``python -m services.presence``."""

from libs.runtime.main import run

from .app import start
from .settings import PresenceSettings

run("presence", PresenceSettings, start)
