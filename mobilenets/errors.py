"""Define the exceptions of this package.

    MobilenetsError            base class; the command line prints its message in one line
    ├── UsageError             an invalid argument or flag                                      exit 2
    │   ├── NetworkError       an invalid network (alpha <= 0, height < 32, ...)
    │   └── BudgetError        an invalid budget, or one that no network satisfies
    ├── WorkError              the arguments are valid, but the work failed                     exit 1
    │   ├── DataError          a data set that is missing, contradictory or mostly unreadable
    │   │   └── ImageError     an image that cannot be decoded
    │   ├── ModelFileError     an invalid model file
    │   ├── DownloadError      a failed download of a published network: no connection, wrong hash, full disk
    │   ├── ParityError        an exported network that disagrees with the trained one
    │   ├── CompileError       no C compiler, or one that fails; a library for another processor
    │   ├── LatencyError       timings too noisy to compare two networks
    │   ├── TrainingError      a run that cannot be started, continued or resumed
    │   └── MissingExtraError  a package of an extra is not installed
    └── Interrupted            a signal stopped the work after its state was saved              exit 130, 143

A message is one line: the value, then the rule that it breaks. `shown` sanitises text of files and users in messages.
"""

import re
import unicodedata
from typing import Any

__all__ = [
    "BudgetError",
    "CompileError",
    "DataError",
    "DownloadError",
    "ImageError",
    "Interrupted",
    "LatencyError",
    "MissingExtraError",
    "MobilenetsError",
    "ModelFileError",
    "NetworkError",
    "ParityError",
    "TrainingError",
    "UsageError",
    "WorkError",
    "printable",
    "shown",
]

_LONGEST = 1000  # characters of a message
_LONGEST_WORD = 256  # characters without space or slash, as long as a file name
_JOINERS = "\u200c\u200d"  # used in Persian and in emoji


def printable(name: str) -> str:
    """Return `name` with unprintable characters escaped, for terminals and JSON."""
    if name.isprintable():
        return name
    return "".join(char if _is_text(char) else char.encode("unicode_escape").decode() for char in name)


def _is_text(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"  # spaces of any width


def shown(text: str) -> str:
    """Return `text` as one printable line, with runs of blanks collapsed and long words and lines shortened."""
    line = printable(" ".join(text.split()))
    line = re.sub(rf"[^\s/]{{{_LONGEST_WORD},}}", lambda word: f"{word[0][:80]}...{word[0][-20:]}", line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 200]} ... {line[-195:]}"


class MobilenetsError(Exception):
    """Base class of all exceptions; `exit_code` is the exit code of the command line."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message))

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process raise the same error, whatever the arguments of its class."""
        return _again, (type(self), str(self), self.exit_code)


def _again(kind: type[MobilenetsError], message: str, code: int) -> MobilenetsError:
    error = kind.__new__(kind)
    MobilenetsError.__init__(error, message)
    error.exit_code = code
    return error


class UsageError(MobilenetsError):
    """An argument or flag is invalid."""

    exit_code = 2


class NetworkError(UsageError):
    """A network is invalid, such as alpha <= 0 or height < 32."""


class BudgetError(UsageError):
    """A budget is invalid, or no network satisfies it."""


class WorkError(MobilenetsError):
    """The arguments are valid, but the work failed."""


class DataError(WorkError):
    """A data set is missing, contradictory or mostly unreadable."""


class ImageError(DataError):
    """An image cannot be decoded."""


class ModelFileError(WorkError):
    """A model file is missing or invalid."""


class DownloadError(WorkError):
    """A published network cannot be downloaded."""


class ParityError(WorkError):
    """An exported network disagrees with the trained one."""


class CompileError(WorkError):
    """There is no C compiler, it failed, or the library is for another processor."""


class LatencyError(WorkError):
    """Timings are too noisy to compare two networks."""


class TrainingError(WorkError):
    """A run cannot be started, continued or resumed."""


class MissingExtraError(WorkError):
    """A package is missing. `message` states what needs it, `extra` is the extra of this package that installs it."""

    def __init__(self, message: str, extra: str) -> None:
        super().__init__(f"{message}: pip install 'mobilenets[{extra}]' (in a clone: pip install '.[{extra}]')")


class Interrupted(MobilenetsError):
    """Stopped by the signal `number`; the exit code is 128 + `number`, as in shells."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
