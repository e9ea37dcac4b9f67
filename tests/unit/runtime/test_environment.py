from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from libs.runtime.environment import PREFIX, Problem, Secret, Settings, SettingsError, describe, load

if TYPE_CHECKING:
    from collections.abc import Iterator


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Group(Settings, frozen=True, kw_only=True):
    size: Annotated[int, Meta(ge=1, le=9, description="How big.")] = 3
    word: Annotated[Secret, Meta(description="The pass word.")] = Secret()

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.size == 7:
            yield "size", "is unlucky"


class Example(Settings, frozen=True, kw_only=True):
    name: Annotated[str, Meta(description="Its name.")]
    on: Annotated[bool, Meta(description="Whether.")] = False
    rate: Annotated[float, Meta(gt=0, description="How fast.")] = 0.5
    mode: Annotated[Literal["fast", "safe"], Meta(description="Which way.")] = "safe"
    colour: Annotated[Colour, Meta(description="Which colour.")] = Colour.RED
    tags: Annotated[tuple[str, ...], Meta(description="Its tags.")] = ("a", "b")
    ports: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(description="Its ports.")] = ()
    group: Group = Group(size=5)


NAMED = {"FLEETLOG_NAME": "x"}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Example, NAMED | environ)
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load(Example, NAMED) == Example(name="x")


def test_a_group_may_have_other_defaults_in_a_service() -> None:
    assert load(Example, NAMED).group.size == 5


@pytest.mark.parametrize(
    ("variable", "raw", "field", "value"),
    [
        ("FLEETLOG_ON", "true", "on", True),
        ("FLEETLOG_ON", "1", "on", True),
        ("FLEETLOG_ON", "False", "on", False),
        ("FLEETLOG_RATE", "2", "rate", 2.0),
        ("FLEETLOG_RATE", "1e3", "rate", 1000.0),
        ("FLEETLOG_MODE", "fast", "mode", "fast"),
        ("FLEETLOG_COLOUR", "blue", "colour", Colour.BLUE),
        ("FLEETLOG_TAGS", "x, y ,", "tags", ("x", "y")),
        ("FLEETLOG_TAGS", "", "tags", ()),
        ("FLEETLOG_PORTS", "1,22", "ports", (1, 22)),
        ("FLEETLOG_GROUP_SIZE", "9", "group", Group(size=9)),
        ("FLEETLOG_GROUP_WORD", "geheim", "group", Group(size=5, word=Secret("geheim"))),
    ],
)
def test_a_variable_sets_its_field(variable: str, raw: str, field: str, value: Any) -> None:
    assert getattr(load(Example, NAMED | {variable: raw}), field) == value


@pytest.mark.parametrize(
    ("variable", "raw", "reason"),
    [
        ("FLEETLOG_ON", "maybe", "must be true or false"),
        ("FLEETLOG_ON", "", "must be true or false"),
        ("FLEETLOG_RATE", "0", "must be a number > 0"),
        ("FLEETLOG_RATE", "nan", "must be a number > 0"),
        ("FLEETLOG_RATE", "inf", "must be a number > 0"),
        ("FLEETLOG_MODE", "Fast", "must be one of: fast, safe"),
        ("FLEETLOG_COLOUR", "green", "must be one of: red, blue"),
        ("FLEETLOG_PORTS", "1,x", "must be a comma-separated list, each a whole number ≥ 1"),
        ("FLEETLOG_PORTS", "1,0", "must be a comma-separated list, each a whole number ≥ 1"),
        ("FLEETLOG_GROUP_SIZE", "10", "must be a whole number ≥ 1 and ≤ 9"),
        ("FLEETLOG_GROUP_SIZE", "1.5", "must be a whole number ≥ 1 and ≤ 9"),
        ("FLEETLOG_GROUP_SIZE", "7", "is unlucky"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_reason(variable: str, raw: str, reason: str) -> None:
    assert problems({variable: raw}) == [f"{variable} {reason}"]


def test_a_missing_value_is_refused_with_its_meaning() -> None:
    with pytest.raises(SettingsError, match=r"^FLEETLOG_NAME is missing: Its name\.$"):
        load(Example, {})


def test_an_unknown_variable_is_refused_and_the_likely_one_named() -> None:
    assert problems({"FLEETLOG_GROUP_SIZES": "4"}) == [
        "FLEETLOG_GROUP_SIZES is not a setting of this service, did you mean FLEETLOG_GROUP_SIZE?"
    ]


def test_variables_of_others_do_not_matter() -> None:
    assert load(Example, NAMED | {"PATH": "/bin", "fleetlog_name": "y"}) == Example(name="x")


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {"FLEETLOG_ON": "x", "FLEETLOG_ZZZ": "x", "FLEETLOG_GROUP_SIZE": "x"})
    assert {problem.variable for problem in caught.value.problems} == {
        "FLEETLOG_NAME",
        "FLEETLOG_ON",
        "FLEETLOG_ZZZ",
        "FLEETLOG_GROUP_SIZE",
    }


FUSSY = [row.variable for row in describe(Example) if row.values not in ("text", "a secret text")]


@given(st.sampled_from([name for name in FUSSY if "TAGS" not in name]), st.text(min_size=5).map(lambda t: f"~{t}~"))
def test_no_error_shows_a_value(variable: str, raw: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, NAMED | {variable: raw})
    assert raw not in str(caught.value)
    assert raw not in repr(caught.value)
    assert caught.value.__context__ is None


def test_a_secret_shows_in_no_text() -> None:
    settings = load(Example, NAMED | {"FLEETLOG_GROUP_WORD": "geheim"})
    assert settings.group.word.reveal() == "geheim"
    shown = [repr(settings), str(settings), f"{settings.group.word}", f"{settings.group.word!r:>20}"]
    assert not [text for text in shown if "geheim" in text]
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)


def test_secrets_compare_by_value_and_are_false_when_empty() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert Secret("a")
    assert not Secret()


def test_a_description_lists_variable_default_and_meaning_in_order() -> None:
    rows = [(row.variable, row.values, row.default_text, row.required, row.meaning) for row in describe(Example)]
    assert rows == [
        ("FLEETLOG_NAME", "text", "", True, "Its name."),
        ("FLEETLOG_ON", "true or false", "false", False, "Whether."),
        ("FLEETLOG_RATE", "a number > 0", "0.5", False, "How fast."),
        ("FLEETLOG_MODE", "one of: fast, safe", "safe", False, "Which way."),
        ("FLEETLOG_COLOUR", "one of: red, blue", "red", False, "Which colour."),
        ("FLEETLOG_TAGS", "a comma-separated list, each text", "a,b", False, "Its tags."),
        ("FLEETLOG_PORTS", "a comma-separated list, each a whole number ≥ 1", "", False, "Its ports."),
        ("FLEETLOG_GROUP_SIZE", "a whole number ≥ 1 and ≤ 9", "5", False, "How big."),
        ("FLEETLOG_GROUP_WORD", "a secret text", "", False, "The pass word."),
    ]


def test_a_documented_default_is_what_one_would_set() -> None:
    written = {row.variable: row.default_text for row in describe(Example) if not row.required}
    assert load(Example, NAMED | written) == Example(name="x")


def test_a_field_without_meaning_is_a_mistake() -> None:
    class Careless(Settings, frozen=True, kw_only=True):
        size: int = 3

    with pytest.raises(TypeError, match=r"Careless\.size says no meaning"):
        describe(Careless)


def test_a_field_of_a_type_that_no_variable_can_hold_is_a_mistake() -> None:
    class Wrong(Settings, frozen=True, kw_only=True):
        table: Annotated[dict[str, str], Meta(description="A table.")] = msgspec.field(default_factory=dict)

    with pytest.raises(TypeError, match="a setting cannot be of type"):
        _ = describe(Wrong)[0].values


def test_a_problem_reads_as_a_sentence() -> None:
    assert str(Problem(PREFIX + "X", "is bad")) == "FLEETLOG_X is bad"
