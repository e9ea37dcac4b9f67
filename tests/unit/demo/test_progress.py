from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from demo import progress
from demo.progress import LiveDisplay, PlainDisplay, Snapshot

if TYPE_CHECKING:
    import pytest

NOW = Snapshot("the fleet plays", 12.4, 20, 200, 158, 157, 6486, 6264, 6362, 5446)


def test_a_line_of_progress_has_every_figure() -> None:
    assert progress.line(NOW) == (
        "  12 s  the fleet plays: online 158 of 200 (hub: 157), published 6,486, acknowledged 6,264, "
        "Kafka 6,362, ClickHouse 5,446"
    )


def test_the_panel_has_the_same_figures() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(progress.panel(NOW))
    for text in (
        "the fleet plays",
        "12 of 20 s",
        "158",
        "of 200; the hub shows 157",
        "6,486",
        "6,264",
        "6,362",
        "5,446",
    ):
        assert text in out.getvalue()


def test_without_a_terminal_lines_come_at_most_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO())
    with progress.display(console) as screen:
        assert isinstance(screen, PlainDisplay)
        for _ in range(5):
            screen.show(NOW)
    assert capsys.readouterr().out == progress.line(NOW) + "\n"


def test_in_a_terminal_the_display_is_redrawn_in_place_and_gone_at_the_end() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress.display(console) as screen:
        assert isinstance(screen, LiveDisplay)
        screen.show(NOW)
