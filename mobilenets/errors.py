"""Every error that this package raises on purpose, as one tree.

    MobilenetsError            the one root; the command line prints its text as one line
    ├── UsageError             the request cannot be meant: wrong value, wrong flag            exit 2
    │   ├── NetworkError       a network that cannot exist (alpha <= 0, height < 32, ...)
    │   └── BudgetError        a budget that cannot be read, or that no network fits
    ├── WorkError              the request is sound, the work failed                            exit 1
    │   ├── DataError          a data set that is missing, contradictory or mostly unreadable
    │   │   └── ImageError     one image that cannot be decoded
    │   ├── ModelFileError     a model file that is not what it says
    │   ├── DownloadError      a published network that cannot be had: no network, a wrong hash, a full disk
    │   ├── ParityError        an exported network that disagrees with the trained one
    │   ├── CompileError       no C compiler, or one that fails; a library for another processor
    │   ├── LatencyError       timings too noisy to tell two networks apart
    │   ├── TrainingError      a run that cannot start, go on or be resumed
    │   └── MissingExtraError  a package that an optional part needs is not installed
    └── Interrupted            a signal ended the work, its state is saved                      exit 130, 143

Messages are one line: the value, then the rule it breaks. What files and users say is part of many: `shown` makes
every message fit for a terminal, here and nowhere else.
"""

import re
import unicodedata

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
_LONGEST_WORD = 256  # and of what has no space or slash in it: the name of a file is no longer
_JOINERS = "\u200c\u200d"  # letters of Persian, parts of emoji


def printable(name: str) -> str:
    """Return `name` fit for a terminal and for JSON: what is no text that can be shown is escaped, all else is kept."""
    if name.isprintable():
        return name
    return "".join(char if _is_text(char) else char.encode("unicode_escape").decode() for char in name)


def _is_text(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"  # a blank of some width


def shown(text: str) -> str:
    """Return `text` as one line of a message: `printable`, blanks made one space, long words and long lines cut."""
    line = printable(" ".join(text.split()))
    line = re.sub(rf"[^\s/]{{{_LONGEST_WORD},}}", lambda word: f"{word[0][:80]}...{word[0][-20:]}", line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 200]} ... {line[-195:]}"


class MobilenetsError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message))


class UsageError(MobilenetsError):
    exit_code = 2


class NetworkError(UsageError):
    pass


class BudgetError(UsageError):
    pass


class WorkError(MobilenetsError):
    pass


class DataError(WorkError):
    pass


class ImageError(DataError):
    pass


class ModelFileError(WorkError):
    pass


class DownloadError(WorkError):
    pass


class ParityError(WorkError):
    pass


class CompileError(WorkError):
    pass


class LatencyError(WorkError):
    pass


class TrainingError(WorkError):
    pass


class MissingExtraError(WorkError):
    """`message` says what needs which package, `extra` which of this package's extras brings it."""

    def __init__(self, message: str, extra: str) -> None:
        super().__init__(f"{message}: pip install 'mobilenets[{extra}]' (in a clone: pip install '.[{extra}]')")


class Interrupted(MobilenetsError):
    """`number` is the signal's; the exit code is 128 more, as shells have it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
