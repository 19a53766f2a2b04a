"""Runs the tests in processes of their own, records what each executes, and chooses those that can notice a mutant.

`mutants.py` uses it. Other packages are imported once (`warm_up`, never mobilenets), and each run of pytest is a fork:
the import of torch alone takes longer than most runs. A run sees a copy of the checkout (`Workplace`), made anew for
each mutant, in which no other has left anything.
"""

import ast
import hashlib
import importlib
import importlib.util
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import coverage
import pytest

PACKAGE = "mobilenets"
# what takes long to import; none of them starts a thread that a forked process would miss
HEAVY = "hypothesis scipy.stats sklearn.linear_model matplotlib.figure torch torchvision torchmetrics timm"
MEMORY = 8 << 30  # bytes a run may take: a mutant that wants more fails instead of stopping the machine
FILE_SIZE = 2 << 30
FORK = multiprocessing.get_context("fork")


def warm_up() -> None:
    """Import what a run of the tests would spend most of its time on."""
    for name in HEAVY.split():
        importlib.import_module(name)
    assert PACKAGE not in sys.modules


def pytest_arguments() -> list[str]:
    """Give the arguments of every run; one process, also where addopts asks pytest-xdist for several."""
    imported = "-Wignore::pytest.PytestAssertRewriteWarning"  # plugins are, before pytest could rewrite their asserts
    alone = ["-n0"] if importlib.util.find_spec("xdist") else []
    return ["-p", "no:cacheprovider", imported, *alone]


# --- a copy of the checkout, and a run in it


class Workplace:
    """A copy of a checkout in a temporary folder `base`, with `shared` beside it as it lies beside the checkout."""

    def __init__(self, root: Path, base: Path) -> None:
        self._base = Path(tempfile.mkdtemp(dir=base))
        self._template = self._base / "template"
        self.checkout = self._base / "checkout"
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"], cwd=root, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (root / name).is_file():
                (self._template / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self._template / name)
        # byte code that is compared with its source by content: a mutant of the same second and size is never mistaken
        compiled = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash", PACKAGE]
        subprocess.run([sys.executable, *compiled], cwd=self._template, check=True)
        if (root.parent / "shared").exists():
            (self._base / "shared").symlink_to(root.parent / "shared")

    def renew(self) -> Path:
        """Replace the copy by a new one."""
        for folder in (self.checkout, self._base / "tmp"):
            shutil.rmtree(folder, ignore_errors=True)
        (self._base / "tmp").mkdir()
        shutil.copytree(self._template, self.checkout)
        return self.checkout

    def run(self, arguments: list[str], plugin: object, timeout: float) -> tuple[int | None, str]:
        """Run pytest in the copy; give its exit status (None: out of time, negative: a signal) and its output."""
        output = self._base / "output.txt"
        process = FORK.Process(target=_run_pytest, args=(self.checkout, output, arguments, plugin))
        process.start()
        process.join(timeout)
        late = process.exitcode is None
        with suppress(ProcessLookupError):  # with whatever its tests have started
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return (None if late else process.exitcode), output.read_text(errors="replace")


def _run_pytest(checkout: Path, output: Path, arguments: list[str], plugin: object) -> None:
    os.setsid()
    with output.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    os.chdir(checkout)
    sys.path.insert(0, str(checkout))  # before an editable install of another checkout; PYTHONPATH: its processes too
    sys.dont_write_bytecode = True
    tempfile.tempdir = str(checkout.parent / "tmp")
    os.environ.update(PYTHONPATH=str(checkout), PYTHONDONTWRITEBYTECODE="1", TMPDIR=tempfile.tempdir)
    status = pytest.main([*pytest_arguments(), f"--basetemp={tempfile.tempdir}/pytest", *arguments], plugins=[plugin])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))


class Chosen:
    """A plugin of pytest: of what was collected, run these tests in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop the others, and sort."""
        assert Path(str(sys.modules[PACKAGE].__file__)).is_relative_to(Path.cwd()), "another checkout is imported"
        items[:] = sorted((i for i in items if i.nodeid in self._rank), key=lambda item: self._rank[item.nodeid])


# --- what the tests execute


class Recorder:
    """A plugin of pytest: note how long each test takes and which lines it executes."""

    def __init__(self, target: Path, key: str) -> None:
        self._target, self._key = target, key
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        data = str(target.with_suffix(".coverage"))
        self._coverage = coverage.Coverage(data_file=data, source=[PACKAGE], config_file=False, messages=False)

    def pytest_sessionstart(self) -> None:
        """Begin to trace."""
        self._coverage.erase()
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Name the test whose lines follow."""
        self._coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up setup, call and teardown."""
        self._seconds[report.nodeid] += report.duration
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write it all."""
        self._coverage.stop()
        with warnings.catch_warnings(action="ignore"):  # that nothing was executed: tests of other processes
            self._coverage.save()
        record = {"key": self._key, "failed": sorted(self._failed), "seconds": self._seconds}
        self._target.write_text(json.dumps(record, indent=1))


def record(workplace: Workplace, file: str, target: Path, key: str) -> None:
    """Run one file of tests, and write to `target` and beside it what each executes; of one that crashes, no test."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in (target, target.with_suffix(".coverage")):
        path.unlink(missing_ok=True)
    workplace.renew()
    status, output = workplace.run([file], Recorder(target, key), timeout=1800)
    if not target.exists() or status not in (0, 1, 5):
        failed = [f"{file} (exit status {status})"]
        target.write_text(json.dumps({"key": key, "failed": failed, "seconds": {}, "output": output[-4000:]}, indent=1))


def record_key(root: Path, file: str) -> str:
    """Tell records apart: of another text of the tests or of the package."""
    digest = hashlib.sha256((root / file).read_bytes())
    for path in sorted((root / PACKAGE).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# --- which tests can notice a mutant


@dataclass(frozen=True)
class Place:
    """Where a mutant lies: a file and a token, relative to the checkout."""

    file: str
    line: int
    column: int


class Choice:
    """Chooses tests by the records in `folder`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root
        self._folder = folder
        records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        self.failed = [test for record in records for test in record["failed"]]
        self.seconds: dict[str, float] = {}
        for record in records:
            self.seconds |= record["seconds"]
        for test in self.failed:
            self.seconds.pop(test, None)

    @cached_property
    def _tests_of_lines(self) -> dict[str, dict[int, set[str]]]:
        """File -> line -> tests."""
        found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for path in self._folder.glob("*.coverage"):
            data = coverage.CoverageData(str(path))
            data.read()
            for measured in data.measured_files():
                file = PACKAGE + measured.rpartition(f"/checkout/{PACKAGE}")[2]
                for line, tests in data.contexts_by_lineno(measured).items():
                    found[file][line].update(test for test in tests if test in self.seconds)
        return found

    def direct(self, place: Place) -> set[str]:
        """Give the tests that execute the statement; of one executed at import, those that execute any of its file."""
        lines = self._tests_of_lines[place.file]
        tree = ast.parse((self._root / place.file).read_text())
        wanted = statement_lines(tree, place.line) if in_function(tree, place) else lines.keys()
        return set().union(*(lines[line] for line in wanted if line in lines))

    def stages(self, place: Place, limit: float, more: float) -> list[list[str]]:
        """Give the tests to run, one run after the other, `limit` seconds in all, and up to `more` of those near.

        First the direct ones in the folder of the mutated file, then the direct ones elsewhere, then other tests of the
        folder and of files with direct ones: a fixture or a cache may have hidden that they depend on the statement.
        """
        direct = self.direct(place)
        own = own_tests(place.file)
        files = {file_of(test) for test in direct}
        near = {test for test in self.seconds if file_of(test) in files or test.startswith(own)} - direct
        first = self._cheapest({test for test in direct if test.startswith(own)}, limit)
        second = self._cheapest(
            direct - {test for test in direct if test.startswith(own)}, limit - self.duration(first)
        )
        return [stage for stage in (first, second, self._cheapest(near, more)) if stage]

    def duration(self, tests: list[str]) -> float:
        """Estimate how many seconds these tests take."""
        return sum(self.seconds[test] for test in tests)

    def _cheapest(self, tests: set[str], limit: float) -> list[str]:
        """Sort by file, quick files and quick tests first; leave out what would last longer than `limit` seconds."""
        kept, spent = [], 0.0
        for test in sorted(tests, key=self.seconds.__getitem__):
            spent += self.seconds[test]
            if spent > limit:
                break
            kept.append(test)
        total: dict[str, float] = defaultdict(float)
        for test in kept:
            total[file_of(test)] += self.seconds[test]
        return sorted(kept, key=lambda test: (total[file_of(test)], file_of(test), self.seconds[test]))


def file_of(test: str) -> str:
    """Give the file of a test's id."""
    return test.partition("::")[0]


def own_tests(file: str) -> str:
    """Give how the ids of the tests of a module's folder begin."""
    folder, _, rest = file.removeprefix(f"{PACKAGE}/").partition("/")
    return f"tests/{folder}/" if rest else f"tests/test_{folder}"


def statement_lines(tree: ast.AST, line: int) -> range:
    """Give the lines of the innermost statement around a line, of a compound one only the lines of its head."""
    best = range(line, line + 1)
    for node in ast.walk(tree):  # outer ones first
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case) and not isinstance(node, ast.Module):
            body = getattr(node, "body", None)
            start = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
            end = max(start, body[0].lineno - 1) if body else (getattr(node, "end_lineno", None) or start)
            if start <= line <= end:
                best = range(start, end + 1)
    return best


def in_function(tree: ast.AST, place: Place) -> bool:
    """Tell whether a token is executed by a call, not at import."""
    position = (place.line, place.column)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            body = node.body if isinstance(node.body, list) else [node.body]
            end = (body[-1].end_lineno or 0, body[-1].end_col_offset or 0)
            if (body[0].lineno, body[0].col_offset) <= position < end:
                return True
    return False
