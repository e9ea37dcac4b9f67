"""A device in a process of its own, for tests that kill it: ``python device_process.py HOST PORT STORE NOTES UPLOADS``.

Notes of what its handlers do go to the file ``NOTES``, one line each.
"""

import asyncio
import sys
from pathlib import Path

from fleetlog_device import BufferLimits, Call, Device


async def main(host: str, port: int, store: str, notes: Path, uploads: int) -> None:
    def note(line: str) -> None:
        with notes.open("a") as file:
            file.write(line + "\n")

    buffer = BufferLimits(persistent=True)
    async with Device("p", "d", "secret of d", host=host, port=port, store=store, buffer=buffer) as device:

        @device.command("count")
        def count(call: Call) -> str:
            note(f"count {call.request_id}")
            return "counted"

        @device.command("hang")
        async def hang(call: Call) -> None:
            note(f"hang {call.request_id}")
            await asyncio.Event().wait()

        for number in range(uploads):
            await device.upload("numbers", number)
        note(f"uploaded {uploads}")
        await device.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), int(sys.argv[5])))
