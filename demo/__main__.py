"""``python -m demo``: see `demo.cli`."""

import sys

from .cli import main

sys.exit(main())
