from libs.runtime.main import run

from .app import start
from .settings import Settings

run("topics", Settings, start)
