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

Messages are one line: the value, then the rule it breaks.
"""

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
]


class MobilenetsError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 1


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
    pass


class Interrupted(MobilenetsError):
    """`number` is the signal's; the exit code is 128 more, as shells have it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
