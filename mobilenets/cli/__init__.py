"""The command line: `main`, and one short function for each verb."""

import json
import os
import re
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from ..errors import MobilenetsError, UsageError
from ..files import CacheWarning

if TYPE_CHECKING:
    from cyclopts import Argument, CycloptsError

__all__ = ["as_flags", "error_object", "main"]

_SHOW_WARNING = warnings.showwarning


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 for failed work, 2 for wrong use, 130 and 143 for signals.

    Every error of this package is one line on standard error; `--debug` shows where it was raised. With `--json`
    standard output holds an object with the key "error" as well.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return _run(arguments)
    except MobilenetsError as exc:
        if debug:
            raise
        meant = _meant(exc, arguments)
        return _failed(meant, as_flags(str(meant), "".join(arguments[:1])), arguments, meant.exit_code)
    except KeyboardInterrupt:
        print("mobilenets: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mobilenets ... | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as exc:
        if debug:
            raise
        return _failed(exc, f"unexpected {type(exc).__name__}: {exc} (--debug shows where)", arguments, 1)


def _meant(exc: MobilenetsError, arguments: list[str]) -> MobilenetsError:
    """Return the error, or one that explains it where the value behind a flag was taken for a file."""
    flag, value = _valued(arguments)
    return UsageError(_takes_no_value(flag, value)) if value and str(exc).startswith(f"{value}: no such file") else exc


def _valued(arguments: list[str]) -> tuple[str, str]:
    """Return the first flag that takes no value and what was given to it, `--csv out.csv` or `--csv=out.csv`."""
    switches = [name for argument in _arguments_of(arguments[:1]) if argument.hint is bool for name in argument.names]
    for at, word in enumerate(arguments):
        flag, joined, value = word.partition("=")
        if flag in switches and joined:
            return flag, value
        if flag in switches and at + 1 < len(arguments) and not arguments[at + 1].startswith("-"):
            return flag, arguments[at + 1]
    return "", ""


def _takes_no_value(flag: str, value: str) -> str:
    cure = f": it prints, and > {value} keeps what is printed" if flag in ("--csv", "--json") else ""
    return f"{flag} takes no value (={value!r}){cure}"


def _arguments_of(verb: list[str]) -> "Iterable[Argument]":
    from .app import app

    return app[verb[0]].assemble_argument_collection() if verb and verb[0] in list(app) else ()


def as_flags(message: str, verb: str) -> str:
    """Return the message with settings named as the verb's flags: `max_bad (=2)` becomes `--max-bad (=2)`."""
    flags = {name for argument in _arguments_of([verb]) for name in argument.names}

    def flag(setting: re.Match[str]) -> str:
        name = "--" + setting[0].replace("_", "-")
        return name if name in flags else setting[0]

    return re.sub(r"(?<![\w/.-])(?:[a-z]+(?:_[a-z]+)+|[a-z]+(?= \(=))(?![\w/.-])", flag, message)


def _failed(exc: Exception, message: str, arguments: list[str], code: int) -> int:
    """Print what went wrong, in one line and, with --json, as JSON; return `code`."""
    print(f"mobilenets: {message}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": error_object(exc, message)}))
    return code


def error_object(error: Exception, message: str) -> dict[str, str]:
    """Return an error as JSON."""
    return {"type": type(error).__name__, "message": message}


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of this package in one line, as errors are, without the place in the code."""
    if category is CacheWarning:
        print(f"mobilenets: {message}", file=sys.stderr)
    else:
        _SHOW_WARNING(message, category, filename, lineno, file, line)


def _wrong(exc: "CycloptsError", arguments: list[str]) -> str:
    from cyclopts import MissingArgumentError

    flag, value = _valued(arguments)
    if value and value in str(exc):
        return _takes_no_value(flag, value)

    if isinstance(exc, MissingArgumentError) and exc.keyword is None and exc.argument is not None:
        name = exc.argument.name
        return f"{name if exc.argument.index is None else name.lstrip('-').upper()} is missing"
    return " ".join(str(exc).split())


def _run(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from .app import app

    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as exc:
        verb = next((f" {word}" for word in arguments[:1] if word in list(app)), "")
        return _failed(UsageError(), f"{_wrong(exc, arguments)} (see mobilenets{verb} --help)", arguments, 2)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0
