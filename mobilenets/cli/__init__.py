"""The command line: `main`, and one short function a verb."""

import os
import sys
import warnings
from typing import TYPE_CHECKING, TextIO

from ..errors import MobilenetsError
from ..files import CacheWarning

if TYPE_CHECKING:
    from cyclopts import CycloptsError

__all__ = ["main"]

_SHOW_WARNING = warnings.showwarning


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for failed work, 2 for wrong use, 130 and 143 for signals.

    Every error of this package is one line on standard error; `--debug` shows where it was raised.
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
        print(f"mobilenets: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print("mobilenets: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mobilenets ... | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as exc:
        if debug:
            raise
        print(f"mobilenets: unexpected {type(exc).__name__}: {exc} (--debug shows where)", file=sys.stderr)
        return 1


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of this package as errors are printed: in one line, without the place in the code."""
    if category is CacheWarning:
        print(f"mobilenets: {message}", file=sys.stderr)
    else:
        _SHOW_WARNING(message, category, filename, lineno, file, line)


def _wrong(exc: "CycloptsError") -> str:
    from cyclopts import MissingArgumentError

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
        print(f"mobilenets: {_wrong(exc)} (see mobilenets{verb} --help)", file=sys.stderr)
        return 2
    sys.stdout.flush()
    return code if isinstance(code, int) else 0
