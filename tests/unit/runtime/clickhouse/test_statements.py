from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.clickhouse.statements import split


def test_statements_end_with_semicolons_and_come_in_order() -> None:
    assert split("SELECT 1;\n\nSELECT 2;\n") == ["SELECT 1", "SELECT 2"]


def test_comments_are_left_out_and_still_separate_words() -> None:
    text = "-- first; not a statement\nSELECT/* one; */1 -- trailing;\n;/* alone */;"
    assert split(text) == ["SELECT 1"]


@pytest.mark.parametrize(
    "quoted", ["'a;b'", "'it''s; so'", r"'a\';b'", r"'\\'", '"a;b"', "`a;b`", "'-- no comment;'", "'/* ; '"]
)
def test_a_semicolon_inside_quotes_ends_nothing(quoted: str) -> None:
    assert split(f"SELECT {quoted}; SELECT 2;") == [f"SELECT {quoted}", "SELECT 2"]


def test_division_and_subtraction_are_no_comments() -> None:
    assert split("SELECT 4 / 2 - 1;") == ["SELECT 4 / 2 - 1"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;\nSELECT 'open;", "line 2: ' is never closed"),
        ("SELECT 1; /* open", "line 1: /\\* is never closed"),
        ("SELECT 1; SELECT 2", "does not end with a semicolon"),
    ],
)
def test_a_file_that_could_be_read_in_two_ways_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        split(text)


PIECES = st.sampled_from(["SELECT 1", "'a;b'", "`;`", '";"', "/* ; */", "-- ;\n", " ", "\n", "x / y", "a - b"])


@given(st.lists(st.lists(PIECES, max_size=5), max_size=5))
def test_splitting_what_was_split_changes_nothing(statements: list[list[str]]) -> None:
    once = split("".join(" ".join(pieces) + "\n;" for pieces in statements))
    assert split("".join(f"{statement};" for statement in once)) == once
    assert len(once) <= len(statements)
