from libs.runtime.main import run

from .app import start
from .settings import TimeseriesSettings

run("timeseries", TimeseriesSettings, start)
