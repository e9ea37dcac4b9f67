"""``python -m fleet``: see `fleet.cli`."""

import sys

from .cli import main

sys.exit(main())
