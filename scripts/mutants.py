"""Mutation testing: makes small changes to the package, one at a time, and counts those that no test notices.

python scripts/mutants.py --count 400 --seed 1

Cosmic Ray (https://cosmic-ray.readthedocs.io) generates and applies the mutants; here they are drawn and given tests.

Drawing. First a position (file, line, column) of all that have a mutant, each as likely as any other, no position
twice; then an operator of those that Cosmic Ray has for it, then one of its variants. Otherwise one sign in a formula,
with eleven replacements, would count as much as eleven comparisons with zero. Left out is what cannot change what a
program does, or is refused before a test is asked:

* annotations, aliases of types (`Shape = tuple[int, int, int]`), `if TYPE_CHECKING:`, `__all__`;
* `frozen` and `slots` of a dataclass, the decorators `overload` and `abstractmethod`: guards, which mypy checks;
* what Python refuses or warns of (`*` of a signature is an operator to Cosmic Ray; `x is "a"`), or the same program.

Testing. The tests of `make test` are recorded once, a file at a time: what each executes and how long it takes; again
where a file of tests, or the package, has changed. A mutant gets the tests that execute its statement, see
`mutant_tests.Choice.stages`, for at most `--limit` seconds, and stops at the first that fails. Tests that are left out
can only lower the share of killed ones.

All is kept in `.mutants/`: the same command goes on where it was stopped, `--again` tries the survivors once more with
the tests of today, `--fresh` begins anew. A mutant of a file that has changed since it was drawn is not counted.
"""

import argparse
import ast
import difflib
import hashlib
import json
import multiprocessing
import os
import random
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import groupby, islice
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import apply_mutation, mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult
from mutant_tests import PACKAGE, Choice, Chosen, Place, Workplace, record, record_key, warm_up

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".mutants"
MODULES = "arch costs designs data image.py tasks training quant compiler weights exporters runtime"
Position = tuple[int, int]


# --- drawing


def mutations_of(module: Path) -> Iterator[MutationSpec]:
    """Give every mutation that Cosmic Ray knows in a module, as its `init` does, in a hundredth of the time."""
    nodes = list(ast_nodes(get_ast_from_path(module)))
    for name in operator_names():
        operator = get_operator(name)
        if not operator.arguments():
            spans = (span for node in nodes for span in operator().mutation_positions(node))
            for occurrence, (start, end) in enumerate(spans):
                yield MutationSpec(module, name, occurrence, start, end)


def draw(mutations: Iterable[MutationSpec], count: int, seed: int) -> list[MutationSpec]:
    """Draw mutations as the text at the top says."""
    rng = random.Random(seed)
    ordered = sorted(mutations, key=lambda m: (str(m.module_path), m.start_pos, m.operator_name, m.occurrence))
    positions = [list(group) for _, group in groupby(ordered, key=lambda m: (m.module_path, m.start_pos))]
    rng.shuffle(positions)
    drawn: list[MutationSpec] = []
    while positions and len(drawn) < count:
        drawn += islice(filter(_counts, _shuffled(positions.pop(), rng)), 1)
    return drawn


def _shuffled(position: list[MutationSpec], rng: random.Random) -> Iterator[MutationSpec]:
    """Give the mutations at one position, an operator after the other and its variants, in the order drawn."""
    operators = [list(group) for _, group in groupby(position, key=lambda m: m.operator_name)]
    rng.shuffle(operators)
    for variants in operators:
        rng.shuffle(variants)
        yield from variants


def _counts(mutation: MutationSpec) -> bool:
    """Tell whether a mutation can change what a program does, and leaves it a program."""
    source = mutation.module_path.read_text()
    tree = ast.parse(source)
    lines = source.splitlines()
    row, column = mutation.start_pos
    position = (row, len(lines[row - 1][:column].encode()))  # ast counts bytes
    if any(start <= position < end for start, end in left_out(tree)):
        return False
    try:
        mutated = mutate_code(source, get_operator(mutation.operator_name)(), mutation.occurrence)
    except AttributeError:  # Cosmic Ray cannot replace an exception with a dot in its name
        return False
    try:
        with warnings.catch_warnings(action="error"):  # "is" with a literal: an error under pytest
            compile(mutated, "", "exec")
    except SyntaxError:
        return False
    return ast.dump(ast.parse(mutated)) != ast.dump(tree)


def left_out(tree: ast.Module) -> list[tuple[Position, Position]]:
    """Give the spans in which no mutant is drawn."""
    nodes: list[ast.expr | ast.stmt | ast.keyword] = []
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                nodes.append(annotation)
            case ast.FunctionDef(returns=returns, decorator_list=decorators):
                nodes += [returns] if returns else []
                nodes += [d for d in decorators if ast.unparse(d).rpartition(".")[2] in ("overload", "abstractmethod")]
            case ast.ClassDef(decorator_list=decorators):
                calls = [d for d in decorators if isinstance(d, ast.Call) and ast.unparse(d.func) == "dataclass"]
                nodes += [k for call in calls for k in call.keywords if k.arg in ("frozen", "slots")]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                nodes += node.body
    nodes += [node for node in tree.body if isinstance(node, ast.Assign) and _is_alias(node)]
    at = [(node.lineno, node.col_offset - 1) for node in nodes]  # 1: the @ of a decorator
    return [(start, (node.end_lineno or 0, node.end_col_offset or 0)) for start, node in zip(at, nodes, strict=True)]


def _is_alias(node: ast.Assign) -> bool:
    name = ast.unparse(node.targets[0])
    return name == "__all__" or re.fullmatch("_?[A-Z][a-z][A-Za-z]*", name) is not None


# --- the session: what was drawn and what came of it


def open_session(arguments: argparse.Namespace) -> Path:
    """Give the session of this seed and count; draw it if there is none."""
    session = STATE / f"seed{arguments.seed}-{arguments.count}.sqlite"
    if arguments.fresh:
        session.unlink(missing_ok=True)
    if not session.exists():
        print("drawing")
        paths = [Path(PACKAGE, name) for name in MODULES.split()]
        modules = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
        mutations = [mutation for module in modules for mutation in mutations_of(module)]
        drawn = draw(mutations, arguments.count, arguments.seed)
        session.with_suffix(".json").write_text(json.dumps({str(m.module_path): digest(m.module_path) for m in drawn}))
        with use_db(session) as db:
            db.add_work_items(WorkItem.single(f"{i:04}", mutation) for i, mutation in enumerate(drawn, 1))
    return session


def digest(path: Path) -> str:
    """Tell whether a file is the same."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def unchanged(items: Iterable[WorkItem], session: Path) -> list[WorkItem]:
    """Keep those whose file is as it was when they were drawn, in the order drawn."""
    then = json.loads(session.with_suffix(".json").read_text())
    same = {file for file, value in then.items() if digest(Path(file)) == value}
    return sorted((i for i in items if str(i.mutations[0].module_path) in same), key=lambda item: item.job_id)


def to_test(db: WorkDB, session: Path, again: bool) -> list[WorkItem]:
    """Give the mutants that wait, and those that are to be tried again."""
    old = [item for item, result in db.completed_work_items if again and result.test_outcome != TestOutcome.KILLED]
    return unchanged([*db.pending_work_items, *old], session)


# --- testing

_workplace: Workplace  # of a worker


def start_worker(base: str) -> None:
    """Make a worker's copy of the checkout."""
    global _workplace
    _workplace = Workplace(ROOT, Path(base))


def record_file(file: str, target: Path, key: str) -> None:
    """Record one file of tests in a worker's copy."""
    record(_workplace, file, target, key)


def update_records(pool: ProcessPoolExecutor, left_out: list[str]) -> Choice:
    """Record the files of tests that are new or changed; all, where the package has changed."""
    files = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/**/test_*.py"))]
    targets = {STATE / "records" / f"{file.replace('/', '.')}.json": file for file in files if file not in left_out}
    for path in (STATE / "records").glob("*.json"):
        if path not in targets:
            path.unlink()
            path.with_suffix(".coverage").unlink(missing_ok=True)
    keys = {target: record_key(ROOT, file) for target, file in targets.items()}
    old = [t for t in targets if not t.exists() or json.loads(t.read_text())["key"] != keys[t]]
    jobs = {pool.submit(record_file, targets[target], target, keys[target]): targets[target] for target in old}
    for number, job in enumerate(as_completed(jobs), 1):
        job.result()
        print(f"recorded {number} of {len(jobs)}: {jobs[job]}", flush=True)
    return Choice(STATE / "records", ROOT)


def test_mutant(mutation: MutationSpec, stages: list[tuple[list[str], float]]) -> WorkResult:
    """Apply a mutation to a new copy of the checkout and run stages of tests until one fails; each has its time."""
    path = _workplace.renew() / mutation.module_path
    before, after = apply_mutation(path, get_operator(mutation.operator_name)(), mutation.occurrence)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    diff = "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@")
    for tests, timeout in stages:
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        status, output = _workplace.run(["--exitfirst", *files], Chosen(tests), timeout)
        outcome, how = judge(status, output)
        if outcome != TestOutcome.SURVIVED:
            return WorkResult(WorkerOutcome.NORMAL, f"{how}\n{output[-4000:]}", outcome, diff)
    count = sum(len(tests) for tests, _ in stages)
    return WorkResult(WorkerOutcome.NORMAL, f"survived: {count} tests", TestOutcome.SURVIVED, diff)


def judge(status: int | None, output: str) -> tuple[TestOutcome, str]:
    """Tell by pytest's exit status whether a mutant was noticed, and how. 5: none of the tests exists under it."""
    if status in (0, 5):
        return TestOutcome.SURVIVED, ""
    failed = re.search(r"^(?:FAILED|ERROR) (.*)", output, re.MULTILINE)
    if status == 1 and failed:
        return TestOutcome.KILLED, f"killed by test: {failed[1]}"
    if status in (2, 4):  # all these files could be collected, and their tests were, when they were recorded
        return TestOutcome.KILLED, "killed by import"
    if status is None:
        return TestOutcome.KILLED, "killed by time"
    if status < 0:
        return TestOutcome.KILLED, f"killed by crash: signal {-status}"
    return TestOutcome.INCOMPETENT, f"incompetent: exit status {status}"


def test_all(arguments: argparse.Namespace, session: Path) -> None:
    """Test what waits, and write each result as it comes."""
    warm_up()
    fork = multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as base,
        ProcessPoolExecutor(arguments.workers, fork, start_worker, (base,)) as pool,
        use_db(session) as db,
    ):
        choice = update_records(pool, arguments.leave_out)
        for test in choice.failed:
            print(f"fails without a mutant, not used: {test}")
        items = to_test(db, session, arguments.again)
        jobs = {}
        for item in items:
            mutation = item.mutations[0]
            place = Place(str(mutation.module_path), *mutation.start_pos)
            stages = choice.stages(place, arguments.limit, arguments.more)
            timed = [(tests, 60 + 4 * choice.duration(tests)) for tests in stages]
            jobs[pool.submit(test_mutant, mutation, timed)] = item
        for number, job in enumerate(as_completed(jobs), 1):
            item, result = jobs[job], job.result()
            db.set_result(item.job_id, result)
            how = str(result.output).partition("\n")[0]
            print(f"{number}/{len(jobs)} {where(item)} {how}", flush=True)


# --- the report


def where(item: WorkItem) -> str:
    """Give file:line."""
    mutation = item.mutations[0]
    return f"{mutation.module_path}:{mutation.start_pos[0]}"


def report(session: Path) -> str:
    """Give the counts, and the survivors with their diffs."""
    with use_db(session) as db:
        results = {item.job_id: result for item, result in db.completed_work_items}
        items = [item for item in unchanged(db.work_items, session) if item.job_id in results]
        dropped = db.num_work_items - len(items)
    ways = Counter(way(results[item.job_id]) for item in items)
    killed = sum(count for name, count in ways.items() if name.startswith("killed"))
    lines = [
        f"\n{where(item)}  ({result.output})\n{result.diff}"
        for item in items
        if (result := results[item.job_id]).test_outcome == TestOutcome.SURVIVED
    ]
    shares = ", ".join(f"{count} {name}" for name, count in ways.most_common())
    head = f"{killed} of {len(items)} mutants killed ({killed / max(1, len(items)):.1%}): {shares}"
    return "\n".join([*lines, "", head, *([f"{dropped} not tested or of changed files"] if dropped else [])])


def way(result: WorkResult) -> str:
    """Name what became of a mutant."""
    return re.split("[:\\n]", str(result.output))[0]


def main() -> None:
    """Draw, test and report."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--count", type=int, default=400, help="how many mutants are drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the draw (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="mutants at a time (%(default)s)")
    parser.add_argument("--limit", type=float, default=60, help="seconds of tests that execute a mutant (%(default)s)")
    parser.add_argument("--more", type=float, default=15, help="seconds of other tests near it (%(default)s)")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="FILE", help="files of tests that are not used")
    parser.add_argument("--again", action="store_true", help="try survivors again")
    parser.add_argument("--fresh", action="store_true", help="draw again")
    parser.add_argument("--report", action="store_true", help="test nothing, print what is known")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    STATE.mkdir(exist_ok=True)
    start = time.monotonic()
    session = open_session(arguments)
    if not arguments.report:
        test_all(arguments, session)
    print(report(session))
    print(f"{(time.monotonic() - start) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
