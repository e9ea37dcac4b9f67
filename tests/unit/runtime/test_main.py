from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from msgspec import Meta

from libs.runtime import main
from libs.runtime.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Callable


class Settings(ServiceSettings, frozen=True, kw_only=True):
    size: Annotated[int, Meta(description="How big.")] = 3


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, own_logging: None) -> Callable[..., int | str | None]:
    """`main.run` in an environment and with arguments; returns the exit status."""

    def run(start: Callable[[Settings], int | None], *arguments: str, **environ: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["services.x", *arguments])
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main.run("x", Settings, start)
        return ended.value.code

    return run


def unreached(_settings: Settings) -> int:
    raise AssertionError("must not start")


def test_a_service_gets_its_settings_and_its_result_is_the_exit_status(run: Any) -> None:
    assert run(lambda settings: settings.size, FLEETLOG_SIZE="70") == 70


def test_no_result_is_success(run: Any) -> None:
    assert run(lambda _settings: None) == 0


def test_an_exit_from_within_passes(run: Any) -> None:
    def leave(_settings: Settings) -> int:
        raise SystemExit(75)

    assert run(leave) == 75


def test_wrong_settings_are_told_line_by_line_and_end_in_78(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(unreached, FLEETLOG_SIZE="big", FLEETLOG_SIZES="3") == 78
    assert capsys.readouterr().err.splitlines() == [
        "x: FLEETLOG_SIZES is not a setting of this service, did you mean FLEETLOG_SIZE?",
        "x: FLEETLOG_SIZE must be a whole number",
    ]


def test_help_lists_every_setting_and_does_not_start(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(unreached, "--help", FLEETLOG_SIZE="big") == 0
    shown = capsys.readouterr().out
    assert "  FLEETLOG_SIZE  (a whole number; default: 3)\n      How big.\n" in shown
    assert "FLEETLOG_KAFKA_BOOTSTRAP" in shown


def test_arguments_are_refused(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(unreached, "worker") == 64
    assert "takes no arguments" in capsys.readouterr().err


def test_an_interrupt_is_no_traceback(run: Any) -> None:
    def interrupted(_settings: Settings) -> int:
        raise KeyboardInterrupt

    assert run(interrupted) == 130


def test_an_unexpected_exception_passes_to_the_hook_that_logs_it(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    def broken(_settings: Settings) -> int:
        raise ValueError("no")

    monkeypatch.setattr(sys, "argv", ["services.x"])
    with pytest.raises(ValueError, match="no"):
        main.run("x", Settings, broken)
