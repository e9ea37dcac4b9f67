from libs.runtime.main import run

from .app import start
from .settings import IngestSettings

run("ingest", IngestSettings, start)
