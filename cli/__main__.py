"""``python -m cli``: see `cli.app`."""

import sys

from libs.runtime import logs
from libs.runtime.settings import LogSettings

from .app import main

# what the clients of Kafka have to say beside the errors that commands tell
logs.configure(LogSettings(level="error", format="console"), "fleetlog", sys.stderr)
sys.exit(main())
