"""``python -m cli``: see `cli.app`."""

import sys

from .app import main

sys.exit(main())
