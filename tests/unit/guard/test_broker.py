from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from services.guard import broker
from services.guard.broker import Broker, Process


@pytest.fixture
def as_if(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This process in the place of the broker; returns its pid file."""
    name = Path("/proc/self/comm").read_text().strip()
    monkeypatch.setattr(broker, "PROGRAM", name)
    file = tmp_path / "mosquitto.pid"
    file.write_text(f"{os.getpid()}\n")
    return file


def test_it_is_found_once_it_takes_sighups(as_if: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert Broker(as_if).find() is None  # a SIGHUP would end it
        signal.signal(signal.SIGHUP, lambda *_: None)
        found = Broker(as_if).find()
        assert found is not None
        assert found.pid == os.getpid()
        assert found == Broker(as_if).find()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_program_under_its_number_is_not_it(as_if: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "PROGRAM", "mosquitto")
    assert Broker(as_if).find() is None


@pytest.mark.parametrize("text", ["", "x", "4194305", "-1"])
def test_a_pid_file_that_leads_nowhere_is_no_broker(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mosquitto.pid"
    assert Broker(file).find() is None
    file.write_text(text)
    assert Broker(file).find() is None


def test_it_is_told_by_sighup(tmp_path: Path) -> None:
    told = []
    assert Broker(tmp_path, kill=lambda *args: told.append(args)).reload(Process(7, 1))
    assert told == [(7, signal.SIGHUP)]


def test_one_that_ended_meanwhile_was_not_told(tmp_path: Path) -> None:
    def kill(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    assert not Broker(tmp_path, kill).reload(Process(7, 1))


def test_one_that_may_not_be_signalled_is_a_fault_of_the_installation(tmp_path: Path) -> None:
    def kill(_pid: int, _number: int) -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        Broker(tmp_path, kill).reload(Process(7, 1))
