"""``python -m services.registry``."""

from libs.runtime.main import run

from .app import start
from .settings import RegistrySettings

run("registry", RegistrySettings, start)
