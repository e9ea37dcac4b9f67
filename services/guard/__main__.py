from libs.runtime.main import run

from .app import start
from .settings import GuardSettings

run("guard", GuardSettings, start)
