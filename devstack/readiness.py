"""Whether a service says that it is ready."""

from __future__ import annotations

import urllib.error
import urllib.request


def is_ready(ops_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{ops_url}/health/ready", timeout=2) as response:  # noqa: S310 - our own http URL
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
