"""The dev stack's own certificate authority, made once per state directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trustme

from devstack.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path


class Certificates(msgspec.Struct, frozen=True):
    """PEM files. Clients verify the broker with ``authority``."""

    authority: str
    chain: str
    key: str


def ensure(directory: Path) -> Certificates:
    """Return the files in ``directory``, made where one is missing: valid for the loopback address and localhost."""
    authority, chain, key = (directory / name for name in ("ca.pem", "server.pem", "server.key"))
    if not all(file.exists() for file in (authority, chain, key)):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = trustme.CA(organization_name="fleetlog dev stack")
        server = own.issue_cert(HOST, "localhost")
        own.cert_pem.write_to_path(authority)
        chain.unlink(missing_ok=True)
        for number, blob in enumerate(server.cert_chain_pems):
            blob.write_to_path(chain, append=number > 0)
        key.touch(mode=0o600)
        server.private_key_pem.write_to_path(key)
    return Certificates(str(authority), str(chain), str(key))
