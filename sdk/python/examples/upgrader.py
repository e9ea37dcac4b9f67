"""A device that fetches the upgrades it is offered, "installs" them, and reports its new version."""

import argparse
import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from fleetlog_device import Device, Upgrade


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", default="upgrader-1")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--store", help="path of a file; without it, one below the user's state directory")
    parser.add_argument("--directory", type=Path, default=Path(), help="where artifacts are put")
    given = parser.parse_args()

    async with Device(
        given.product, given.device, given.secret, host=given.host, port=given.port, store=given.store
    ) as device:

        @device.on_upgrade
        async def install(upgrade: Upgrade) -> None:
            await upgrade.download(given.directory / f"{upgrade.kind}.bin")
            await device.update_status({"app_ver": upgrade.version})  # which is what success means to the hub

        await device.update_status({"app_ver": "1.0"})
        await device.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
