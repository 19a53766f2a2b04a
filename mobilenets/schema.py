"""Read JSON as typed values, with dataclasses as schemas.

`read` supports bool, int, float, str, Path, None, Any, Literal, unions, tuples, dict[str, ...], dataclasses, and
`Between` in `Annotated`. A field with a default may be absent; unknown fields are rejected.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from .errors import ModelFileError

__all__ = ["Between", "parsed", "read", "refuse"]

_LARGEST = 3.4e38  # of float32
_LARGEST_INT = 2**63 - 1
_LONGEST = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Between:
    """Inclusive bounds of a number, for `Annotated`."""

    low: float
    high: float


def parsed(text: str, name: str) -> Any:
    """Parse the JSON `text` of the field `name`; raise `ModelFileError` if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ModelFileError(f"{name} is not JSON: {exc}") from exc


def read(kind: Any, value: Any, name: str) -> Any:
    """Convert a JSON value to the annotation `kind`: lists to tuples, objects to dataclasses, strings to paths.

    Raises `ModelFileError` with the field (`name`, or name.field and name[0] inside it), the value and the rule.
    """
    if get_origin(kind) is Annotated:
        return _bounded(read(get_args(kind)[0], value, name), get_args(kind)[1:], name)
    if get_origin(kind) in (Union, UnionType):
        return _one_of(get_args(kind), value, name)
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), value, name)
    if get_origin(kind) is dict:
        inner = get_args(kind)[1]
        return {key: read(inner, part, f"{name}.{key}") for key, part in _plain(dict, value, name).items()}
    if is_dataclass(kind):
        return _record(kind, _plain(dict, value, name), name)
    return _plain(kind, value, name)


def refuse(name: str, value: object, rule: str) -> NoReturn:
    """Raise a `ModelFileError` that states the field `name`, its value and the rule that it breaks."""
    text = _json(value)
    raise ModelFileError(f"{name} (={text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}) must be {rule}")


def _json(value: object) -> str:
    """Return a value as JSON, or only its type if that fails."""
    try:
        return json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return f"a {type(value).__name__}"


def _fits(kind: Any, value: Any) -> bool:
    return kind in _PLAIN and _PLAIN[kind][0](value)


def _plain(kind: Any, value: Any, name: str) -> Any:
    if get_origin(kind) is Literal:
        if not isinstance(value, str | int) or value not in get_args(kind):
            refuse(name, value, f"one of {', '.join(map(str, get_args(kind)))}")
        return value
    if not _fits(kind, value):
        refuse(name, value, _PLAIN[kind][1])
    return Path(value) if kind is Path else value


def _one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    """Read by the first type of a union that matches, else by the last one other than null, for its error message."""
    if value is None and NoneType in kinds:
        return None
    simple = next((kind for kind in kinds if _fits(kind, value)), None)
    compound = [kind for kind in kinds if kind not in _PLAIN]
    return read(simple or (compound or [kind for kind in kinds if kind is not NoneType])[-1], value, name)


def _tuple(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        refuse(name, value, "a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        refuse(name, value, f"a list of {len(kinds)}")
    return tuple(read(kind, part, f"{name}[{at}]") for at, (kind, part) in enumerate(zip(kinds, value, strict=True)))


def _record(cls: Any, values: Mapping[str, Any], name: str) -> Any:
    hints, known = get_type_hints(cls, include_extras=True), [field for field in fields(cls) if field.init]
    needed = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    if lacking := [field for field in needed if field not in values]:
        raise ModelFileError(f"{name} lacks {lacking[0]!r}")
    if unknown := [key for key in values if key not in {field.name for field in known}]:
        raise ModelFileError(f"{name} has the unknown field {unknown[0]!r}")
    return cls(**{key: read(hints[key], part, f"{name}.{key}") for key, part in values.items()})


def _bounded(value: Any, rules: tuple[Any, ...], name: str) -> Any:
    for rule in rules:
        if isinstance(rule, Between) and not rule.low <= value <= rule.high:
            refuse(name, value, f"from {rule.low:g} to {rule.high:g}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


_PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (lambda value: type(value) is int and abs(value) <= _LARGEST_INT, "a whole number"),
    float: (_is_number, "a finite number"),
    str: (_is_text, "text without lone surrogates"),
    Path: (lambda value: isinstance(value, Path) or (_is_text(value) and "\0" not in value), "a path"),
    dict: (lambda value: isinstance(value, dict), "a JSON object"),
    NoneType: (lambda value: value is None, "null"),
    Any: (lambda value: True, "anything"),
}
