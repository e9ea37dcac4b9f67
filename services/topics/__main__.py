from libs.runtime.main import run

from .app import start
from .settings import TopicsSettings

run("topics", TopicsSettings, start)
