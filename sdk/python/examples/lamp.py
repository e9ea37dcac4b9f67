"""A lamp: does what its shadow desires, reports what it is, and switches when another device says so."""

import argparse
import asyncio
import logging
from contextlib import suppress
from typing import Any

from fleetlog_device import Device, Document


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", default="lamp-1")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--store", help="path of a file; without it, one below the user's state directory")
    parser.add_argument("--dialect", choices=("native", "iothub", "aliyun"), default="native")
    given = parser.parse_args()

    lamp: dict[str, Any] = {"on": False, "colour": "white"}
    async with Device(
        given.product,
        given.device,
        given.secret,
        host=given.host,
        port=given.port,
        store=given.store,
        shadow=given.dialect,
    ) as device:

        @device.shadow.on_delta
        def follow(delta: dict[str, Any], document: Document) -> None:
            lamp.update(delta)
            print(f"version {document.version} wants {delta}: now {lamp}", flush=True)

        @device.on_message
        async def switch(sender: str, payload: bytes) -> None:
            lamp["on"] = payload == b"on"
            print(f"{sender} switched it {'on' if lamp['on'] else 'off'}", flush=True)
            await device.shadow.report(lamp)

        await device.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
