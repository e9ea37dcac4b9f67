from libs.runtime.main import run

from .server import start
from .settings import ApiSettings

run("api", ApiSettings, start)
