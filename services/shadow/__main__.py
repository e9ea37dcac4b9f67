"""``python -m services.shadow``."""

from libs.runtime.main import run

from .app import start
from .settings import ShadowSettings

run("shadow", ShadowSettings, start)
