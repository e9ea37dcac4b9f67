"""Settings: frozen structs, read from the environment once, at the start.

A field says its name, type, default and meaning in one place; the variable is ``FLEETLOG_`` and the field's path in
capitals, so ``kafka: KafkaSettings`` with ``bootstrap`` is ``FLEETLOG_KAFKA_BOOTSTRAP``. Nothing is guessed: a variable
that no field takes is refused like a bad value, since it is most often a misspelt one.
"""

from __future__ import annotations

import difflib
import enum
import math
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect, structs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PREFIX = "FLEETLOG_"
SHOWN = "(set)"
"""What is shown of a secret that is not empty."""

S = TypeVar("S", bound="Settings")


class Secret:
    """A value that no log line, traceback or ``repr`` shows. `reveal` where a client needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return SHOWN if self._value else "(empty)"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings. A field is ``name: Annotated[T, Meta(description="meaning")] = default``.

    ``T`` is str, bool, int, float, a Literal, an Enum, a `Secret`, a tuple of these (given as a comma-separated
    list) or another `Settings` class, whose variables then carry the field's name.
    """

    def faults(self) -> Iterable[tuple[str, str]]:
        """(field, reason) for each value that does not fit the others."""
        return ()


class Setting(msgspec.Struct, frozen=True):
    """One setting as the documentation lists it and as `load` reads it."""

    variable: str
    path: tuple[str, ...]
    type: Any
    """The field's annotation."""
    default: Any
    """`msgspec.NODEFAULT` where a value must be given."""
    meaning: str

    @property
    def required(self) -> bool:
        return self.default is msgspec.NODEFAULT

    @property
    def values(self) -> str:
        """What a value must be, in words."""
        return _in_words(self.type)

    @property
    def default_text(self) -> str:
        """The default as one would write it in the environment."""
        return "" if self.required else _as_written(self.default)


class Problem(msgspec.Struct, frozen=True):
    variable: str
    reason: str

    def __str__(self) -> str:
        return f"{self.variable} {self.reason}"


class SettingsError(ValueError):
    """The environment does not fit; ``problems`` names every variable at fault, never a value."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


def describe(cls: type[Settings]) -> list[Setting]:
    """Every setting of ``cls`` and of the groups in it, in the order of declaration."""
    return list(_walk(cls, (), None))


def load(cls: type[S], environ: Mapping[str, str]) -> S:
    """Read every setting of ``cls``. Raises `SettingsError` with all problems at once."""
    known = describe(cls)
    problems = _unknown(environ, [setting.variable for setting in known])
    values: dict[tuple[str, ...], Any] = {}
    for setting in known:
        raw = environ.get(setting.variable)
        if raw is None and setting.required:
            problems.append(Problem(setting.variable, f"is missing: {setting.meaning}"))
            continue
        try:
            values[setting.path] = setting.default if raw is None else _parse(raw, setting.type)
        except ValueError:  # its text may quote the value, which may be a secret in the wrong place
            problems.append(Problem(setting.variable, f"must be {setting.values}"))
    if not problems:
        settings = _assemble(cls, (), values)
        problems = list(_faults(settings, PREFIX))
        if not problems:
            return settings
    raise SettingsError(problems)


def _group(annotation: Any) -> type[Settings] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Settings) else None


def _walk(cls: type[Settings], path: tuple[str, ...], base: Settings | None) -> Iterator[Setting]:
    """Yield the settings below ``path``; ``base`` holds the defaults where a service overrides a group's own."""
    for field in structs.fields(cls):
        default = field.default if base is None else getattr(base, field.name)
        here = (*path, field.name)
        group = _group(field.type)
        if group is not None:
            yield from _walk(group, here, default if isinstance(default, group) else None)
            continue
        meanings = [meta.description for meta in get_args(field.type) if isinstance(meta, msgspec.Meta)]
        meaning = next(filter(None, meanings), None)
        if meaning is None:
            raise TypeError(f"{cls.__qualname__}.{field.name} says no meaning")
        yield Setting(PREFIX + "_".join(here).upper(), here, field.type, default, meaning)


def _unknown(environ: Mapping[str, str], known: list[str]) -> list[Problem]:
    problems = []
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        alike = difflib.get_close_matches(variable, known, n=1)
        advice = f", did you mean {alike[0]}?" if alike else ""
        problems.append(Problem(variable, f"is not a setting of this service{advice}"))
    return problems


def _parse(raw: str, annotation: Any) -> Any:
    """``raw`` as a value of that type. Raises ValueError (msgspec's ValidationError is one)."""
    bare = _bare(annotation)
    if bare is Secret:
        return Secret(raw)
    if get_origin(bare) is tuple:
        return tuple(_parse(part.strip(), get_args(bare)[0]) for part in raw.split(",") if part.strip())
    value = msgspec.convert(raw, annotation, strict=False)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _as_written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(_as_written, value))
        case enum.Enum():
            return str(value.value)
        case Secret():
            return SHOWN if value else ""
        case _:
            return str(value)


def _in_words(annotation: Any) -> str:
    kind = inspect.type_info(annotation)
    match kind.type if isinstance(kind, inspect.Metadata) else kind:
        case inspect.BoolType():
            words = "true or false"
        case inspect.IntType() as number:
            words = "a whole number" + _bounds(number)
        case inspect.FloatType() as number:
            words = "a number" + _bounds(number)
        case inspect.LiteralType():
            words = "one of: " + ", ".join(str(value) or "(empty)" for value in get_args(_bare(annotation)))
        case inspect.EnumType(cls=cls):
            words = "one of: " + ", ".join(str(member.value) for member in cls)
        case inspect.VarTupleType():
            words = f"a comma-separated list, each {_in_words(get_args(_bare(annotation))[0])}"
        case inspect.CustomType():
            words = "a secret text"
        case inspect.StrType() as text:
            words = "text" + _form(text)
        case other:
            raise TypeError(f"a setting cannot be of type {other}")
    return words


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    signs = (("≥", kind.ge), (">", kind.gt), ("≤", kind.le), ("<", kind.lt))
    found = [f"{sign} {bound}" for sign, bound in signs if bound is not None]
    return f" {' and '.join(found)}" if found else ""


def _form(kind: inspect.StrType) -> str:
    if kind.pattern:
        return f" that matches `{kind.pattern}`"
    if kind.min_length == 1:
        return ", not empty"
    return f" of at least {kind.min_length} characters" if kind.min_length else ""


def _assemble(cls: type[S], path: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> S:
    parts: dict[str, Any] = {}
    for field in structs.fields(cls):
        here = (*path, field.name)
        group = _group(field.type)
        parts[field.name] = values[here] if group is None else _assemble(group, here, values)
    return cls(**parts)


def _faults(settings: Settings, prefix: str) -> Iterator[Problem]:
    for name, reason in settings.faults():
        yield Problem(prefix + name.upper(), reason)
    for field in structs.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            yield from _faults(value, f"{prefix}{field.name.upper()}_")
