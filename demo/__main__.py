"""``python -m demo``: see `demo.cli`."""

import sys

from libs.runtime import logs
from libs.runtime.settings import LogSettings

from .cli import main

logs.configure(LogSettings(level="warning", format="console"), "demo", sys.stderr)
sys.exit(main())
