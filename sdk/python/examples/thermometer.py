"""A thermometer: uploads a value each second, buffers while it is offline, and can be told how often."""

import argparse
import asyncio
import logging
import random
from contextlib import suppress

from fleetlog_device import BufferLimits, Call, CommandFailed, Device


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--product", required=True)
    parser.add_argument("--device", default="thermometer-1")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--store", help="path of a file; without it, one below the user's state directory")
    given = parser.parse_args()

    interval = 1.0
    buffer = BufferLimits(messages=86_400, persistent=True)
    async with Device(
        given.product, given.device, given.secret, host=given.host, port=given.port, store=given.store, buffer=buffer
    ) as device:

        @device.command("interval")
        async def set_interval(call: Call) -> dict[str, float]:
            nonlocal interval
            seconds = call.json()
            if not isinstance(seconds, int | float) or not 0.1 <= seconds <= 3600:
                raise CommandFailed("out_of_range", "an interval is from 0.1 to 3600 seconds")
            interval = float(seconds)
            return {"interval": interval}

        await device.update_status({"app_ver": "1.0"})
        while True:
            await device.upload("temperature", {"ts": device.now(), "celsius": round(random.gauss(21.5, 0.3), 2)})
            await asyncio.sleep(interval)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
