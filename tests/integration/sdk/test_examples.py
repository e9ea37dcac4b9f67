"""The examples, and the README's ten lines, as anybody would run them: without the hub's code at hand."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.ports import HOST
from tests.support.artifacts import CONTENT, SHA256, served
from tests.support.device_hub import SECRETS, GuardedBroker, Hub
from tests.support.hub_shadow import HubShadow

if TYPE_CHECKING:
    from collections.abc import Iterator

SDK = Path(__file__).parents[3] / "sdk" / "python"


@contextmanager
def running(directory: Path, script: Path, *arguments: str) -> Iterator[None]:
    """A script that has to end in order when it is interrupted."""
    environment = {"PYTHONPATH": str(SDK), "PATH": os.environ["PATH"], "XDG_STATE_HOME": str(directory)}
    command = (sys.executable, str(script), *arguments)
    with subprocess.Popen(command, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            assert process.poll() is None, "it ended by itself"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
            assert (process.returncode, "Traceback" in errors) == (0, False), errors
        finally:
            process.kill()


def options(broker: GuardedBroker) -> tuple[str, ...]:
    names = ("--product", "p", "--device", "d", "--secret", SECRETS["p/d"])
    return ("--host", HOST, "--port", str(broker.port), *names)


async def test_the_thermometer(broker: GuardedBroker, hub: Hub, tmp_path: Path) -> None:
    with running(tmp_path, SDK / "examples" / "thermometer.py", *options(broker)):
        [(_, status)] = await hub.hears("update_status/p/d/")
        await hub.hears("upload_data/p/d/temperature/")
        await hub.say("rpc/p/d/interval/plain/r1/4102444800", "0.1")
        await hub.say("cmd/p/d/interval/plain/r2", "-1")
        replies = dict(await hub.hears("rpc_resp/", "cmd_resp/", count=2))
        readings = await hub.hears("upload_data/p/d/temperature/", count=5)
    assert json.loads(status) == {"app_ver": "1.0"}
    assert replies["rpc_resp/p/d/interval/r1/r1"] == b'{"interval":0.1}'
    assert json.loads(replies["cmd_resp/p/d/interval/r2/r2"])["error"]["code"] == "out_of_range"
    assert all(15 < json.loads(payload)["celsius"] < 28 for _, payload in readings)


@pytest.mark.parametrize("form", ["native", "aliyun"])
async def test_the_lamp(broker: GuardedBroker, hub: Hub, tmp_path: Path, form: str) -> None:
    side = HubShadow(device="p/d")
    said: list[tuple[str, bytes]] = []
    side.publish = lambda topic, payload: said.append((topic, payload))
    side.desire({"colour": "red"})
    native = ("get/p/d/$shadow/", "upload_data/p/d/$shadow_reported/")
    ours = ("/shadow/p/d/update",) if form == "aliyun" else native
    with running(tmp_path, SDK / "examples" / "lamp.py", *options(broker), "--dialect", form):
        for number in (1, 2):  # asks for its shadow, then says that it is so
            topic, payload = (await hub.hears(*ours, count=number))[-1]
            said.clear()
            await side.send(topic, payload)
            for answer in said:
                await hub.say(*answer)
        await hub.say("m2m/p/d/e/m1", "on")
        _, reported = (await hub.hears(*ours, count=3))[-1]
    assert (side.delta, side.reported) == ({}, {"colour": "red"})
    assert json.loads(reported)["state"] == {"reported": {"on": True, "colour": "red"}}


async def test_the_upgrader(broker: GuardedBroker, hub: Hub, tmp_path: Path) -> None:
    example = running(tmp_path, SDK / "examples" / "upgrader.py", *options(broker), "--directory", str(tmp_path))
    with served() as (url, _), example:
        await hub.hears("get/p/d/$tags/")
        offer = {"url": url, "version": "1.1", "size": len(CONTENT), "sha256": SHA256, "type": "firmware"}
        await hub.say("cmd/p/d/$ota_upgrade/plain/o1", json.dumps(offer))
        statuses = await hub.hears("update_status/p/d/", count=2)
        reports = await hub.hears("update_ota_status/p/d/", count=2)
    assert [json.loads(payload)["app_ver"] for _, payload in statuses] == ["1.0", "1.1"]
    assert json.loads(reports[-1][1])["progress"] == 100
    assert (tmp_path / "firmware.bin").stat().st_size == len(CONTENT)


async def test_the_ten_lines_of_the_readme(broker: GuardedBroker, hub: Hub, tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)[0]
    for written, meant in (
        ('"plant-7", "press-1", "its secret"', f'"p", "d", "{SECRETS["p/d"]}"'),
        ('host="hub.example.com"', f'host="{HOST}", port={broker.port}'),
        ("asyncio.run(main())", "try:\n    asyncio.run(main())\nexcept KeyboardInterrupt:\n    pass"),
    ):
        assert written in code
        code = code.replace(written, meant)
    script = await asyncio.to_thread(written_to, tmp_path / "ten_lines.py", code)
    with running(tmp_path, script):
        assert (await hub.hears("upload_data/p/d/temperature/"))[0][1] == b'{"celsius":21.5}'
        await hub.say("cmd/p/d/reboot/plain/r1")
        assert await hub.hears("cmd_resp/") == [("cmd_resp/p/d/reboot/r1/r1", b'{"ok":true}')]


def written_to(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["thermometer", "lamp", "upgrader"])
def test_an_example_says_how_it_is_called(name: str) -> None:
    command = (sys.executable, str(SDK / "examples" / f"{name}.py"), "--help")
    done = subprocess.run(command, env={"PYTHONPATH": str(SDK)}, check=True, capture_output=True, text=True, timeout=60)
    assert "--host" in done.stdout
