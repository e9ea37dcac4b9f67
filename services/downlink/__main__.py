from libs.runtime.main import run

from .app import start
from .settings import DownlinkSettings

run("downlink", DownlinkSettings, start)
