"""What a benchmark says: rows, order, runtimes that fail or are not there, and who is fastest."""

import os

import numpy as np
import pytest
from native import LACKS

from mobilenets import Network
from mobilenets.benchmarks import PEERS, Benchmark, Missing, Peer, Row, benchmark_model, measure
from mobilenets.benchmarks.limit import _dot, mult_adds_a_second
from mobilenets.benchmarks.measure import noise
from mobilenets.benchmarks.peers import Setup
from mobilenets.benchmarks.result import verdict
from mobilenets.compiler import has_compiler
from mobilenets.compiler.formats import FORMATS as NUMBER_FORMATS
from mobilenets.compiler.processor import missing
from mobilenets.costs.latency import Latency
from mobilenets.errors import UsageError, WorkError
from mobilenets.image import Pixels
from mobilenets.progress import Watch

TWO = {name: PEERS[name] for name in ("mobilenets", "ONNX Runtime")}
SMALL = Network(0.25, 32, 32, classes=10)
needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SECONDS", 0.02)
    monkeypatch.setattr(measure, "BATCH_SECONDS", 0.01)


@needs_compiler
def test_ours_and_onnx_runtime(random_model) -> None:
    model = random_model(SMALL)
    result = benchmark_model(model, threads=(1,), batch_sizes=(1, 3), kinds=TWO)
    assert {row.runtime for row in result.rows} == set(TWO) and not result.missing
    assert [row.latency.median for row in result.rows] == sorted(row.latency.median for row in result.rows)
    for row in result.rows:
        t = row.latency
        assert 0 < t.p10 <= t.median <= t.p90 and t.low <= t.median <= t.high and t.runs >= 15
        assert set(row.images_per_second) == {1, 3} and row.images_per_second[1] == pytest.approx(1e3 / t.median)
        assert row.agreement == 1 and row.difference < 1e-4
        assert row.file_bytes > 4 * 200_000 and row.load_ms > 0 and row.threads == 1
    ours = next(row for row in result.rows if row.runtime == "mobilenets")
    assert ours.arena_bytes and ours.arena_bytes % 4 == 0
    assert result.image_count == 100 and result.images == "noise" and result.weights == "trained"
    assert len(result.verdicts()) == 1 and result.verdicts()[0].startswith("fp32, 1 thread: ")


class Wrong(TWO["ONNX Runtime"]):  # type: ignore[misc]
    """Answers, but not as it should."""

    def run(self, images: Pixels) -> np.ndarray:
        return -super().run(images)


class Failing(TWO["ONNX Runtime"]):  # type: ignore[misc]
    """Raises where it is told to."""

    at = ""

    def __init__(self, setup: Setup) -> None:
        if self.at == "made":
            raise ValueError("cannot be made\nwith a second line")
        super().__init__(setup)
        self.calls = 0

    def load(self) -> None:
        if self.at == "loaded":
            raise OSError(2, "no such library")
        super().load()

    def run(self, images: Pixels) -> np.ndarray:
        self.calls += 1
        if (self.at, self.calls) in (("first", 1), ("later", 110)) or (self.at == "batch" and len(images) > 1):
            raise MemoryError
        return super().run(images)


@pytest.mark.parametrize(
    "at, reason",
    [
        ("made", "cannot be made"),
        ("loaded", "[Errno 2] no such library"),
        ("first", "MemoryError()"),
        ("later", "MemoryError()"),
        ("batch", "MemoryError()"),
    ],
)
def test_a_runtime_that_fails_is_reported_and_the_others_go_on(at: str, reason: str, random_model) -> None:
    kinds = {"failing": type("F", (Failing,), {"at": at}), "ONNX Runtime": PEERS["ONNX Runtime"]}
    result = benchmark_model(random_model(SMALL), threads=(1,), batch_sizes=(1, 2), kinds=kinds)
    assert [row.runtime for row in result.rows] == ["ONNX Runtime"]
    assert result.missing == (Missing("failing", "fp32", 1, reason),)
    assert result.verdicts()[0].startswith("fp32, 1 thread: ONNX Runtime alone ran, ")


class Talking(PEERS["ONNX Runtime"]):
    """Writes to standard error, as C does, past Python."""

    def load(self) -> None:
        os.write(2, b"INFO: Created a delegate for CPU.\n")
        super().load()


class Hearing(Watch):
    def __init__(self) -> None:
        self.told: dict[str, list[tuple[int, int]]] = {}

    def measured(self, what: str, done: int, total: int) -> None:
        self.told.setdefault(what, []).append((done, total))


def test_progress_is_told_and_foreign_lines_are_not(
    random_model, capfd: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setattr(measure, "SECONDS", 1.2)
    watch = Hearing()
    benchmark_model(random_model(SMALL), threads=(1,), batch_sizes=(1, 2), kinds={"talking": Talking}, watch=watch)
    assert capfd.readouterr().err == ""
    assert list(watch.told) == ["open, 1 thread", "time, 1 thread"]
    for told in watch.told.values():
        assert told == sorted(told) and told[-1][0] == told[-1][1] and len({total for _, total in told}) == 1
    assert {done for done, _ in watch.told["time, 1 thread"]} == {0, 1}


def test_a_runtime_that_is_not_installed_is_named_with_its_package(random_model) -> None:
    absent = type("A", (Peer,), {"package": "no-such-runtime", "modules": ("no_such_runtime",)})
    kinds = {"absent": absent, "ONNX Runtime": PEERS["ONNX Runtime"]}
    result = benchmark_model(random_model(SMALL), threads=(1,), batch_sizes=(), kinds=kinds)
    assert result.missing[0].reason == "not installed: pip install no-such-runtime"


def test_wrong_answers_show(random_model) -> None:
    kinds = {"wrong": Wrong, "ONNX Runtime": PEERS["ONNX Runtime"]}
    result = benchmark_model(random_model(SMALL), threads=(1,), batch_sizes=(), kinds=kinds)
    found = {row.runtime: row for row in result.rows}
    assert found["wrong"].agreement == 0 and found["wrong"].difference > 1
    assert found["ONNX Runtime"].agreement == 1


def test_where_nothing_runs_it_is_an_error(random_model) -> None:
    kinds = {"failing": type("F", (Failing,), {"at": "made"})}
    with pytest.raises(WorkError, match="no runtime could run it: failing: cannot be made"):
        benchmark_model(random_model(SMALL), threads=(1,), kinds=kinds)


def test_given_images_are_the_ones_compared(random_model) -> None:
    model = random_model(SMALL)
    result = benchmark_model(
        model,
        threads=(1,),
        batch_sizes=(),
        images=noise(model, 7),
        source="seven",
        kinds={"ONNX Runtime": PEERS["ONNX Runtime"]},
    )
    assert (result.image_count, result.images) == (7, "seven")


@pytest.mark.parametrize(
    "values, text",
    [
        ({"threads": (0,)}, "threads (=0) must be from 1 to"),
        ({"threads": (1, 4096)}, "threads (=4096) must be from 1 to"),
        ({"batch_sizes": (0,)}, "batch size (=0) must be from 1 to 1024"),
        ({"precisions": ("fp8",)}, "precision 'fp8' must be one of fp32, bf16"),
    ],
)
def test_nonsense_is_refused_before_anything_is_opened(values, text: str, random_model) -> None:
    with pytest.raises(UsageError) as caught:
        benchmark_model(random_model(SMALL), **values)
    assert str(caught.value).startswith(text)


def row(runtime: str, median: float, precision: str = "fp32", spread: float = 0.01, cores_used: float = 1.0) -> Row:
    latency = Latency(median, median - spread, median + spread, median, median, 100, 1, runtime)
    return Row(runtime, "1", precision, latency, {1: 1e3 / median}, 1.0, 0.0, None, 1, None, 1.0, "so", cores_used)


@pytest.mark.parametrize(
    "rows, text",
    [
        ([row("x", 2), row("mobilenets", 1)], "mobilenets is fastest, 1 ms an image; x takes 2.00 times as long"),
        (
            [row("x", 1), row("y", 2), row("mobilenets", 3)],
            "x is fastest, 1 ms an image; mobilenets takes 3.00 times as long",
        ),
        ([row("x", 1), row("y", 2)], "x is fastest, 1 ms an image; y takes 2.00 times as long"),
        (
            [row("x", 1.01), row("mobilenets", 1)],
            "mobilenets (1 ms) and x (1.01 ms) are fastest and cannot be distinguished",
        ),
        (
            [row("x", 1), row("y", 1.01), row("mobilenets", 2)],
            "x (1 ms) and y (1.01 ms) are fastest and cannot be distinguished; mobilenets takes 2.00 times as long",
        ),
        (
            [row("x", 0.5, "bf16"), row("mobilenets", 1)],
            "x bf16 is fastest, 0.5 ms an image; mobilenets fp32 takes 2.00 times as long",
        ),
    ],
)
def test_the_verdict_is_honest(rows: list[Row], text: str) -> None:
    assert verdict(rows) == text


def benchmark(*rows: Row) -> Benchmark:
    return Benchmark("0.25-32", "random", "a processor", "torch, fp32", "noise", 1, None, rows, ())


def test_several_precisions_have_a_line_each_and_one_for_all() -> None:
    starts = [line.split(":")[0] for line in benchmark(row("a", 1, "bf16"), row("a", 2), row("b", 3)).verdicts()]
    assert starts == ["fp32, 1 thread", "bf16, 1 thread", "any precision, 1 thread"]


def test_a_busy_machine_is_told() -> None:
    assert benchmark(row("a", 1), row("b", 2)).caution() is None
    busy = benchmark(row("a", 1, cores_used=0.5), row("b", 2, cores_used=0.6), row("c", 3, cores_used=0.4))
    assert "used 50% of the processor" in str(busy.caution())


@needs_compiler
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16x3", "int8"])
def test_a_core_has_a_limit(precision: str) -> None:
    limit = mult_adds_a_second("auto", precision)
    assert limit and np.isfinite(limit)


@pytest.mark.parametrize(
    ("target", "precision", "products"),
    [
        ("portable", "fp32", 1),
        ("avx512", "bf16", 1),
        ("avx512bf16", "bf16", 2),  # vdpbf16ps
        ("portable", "int8", 2),  # pmaddwd
        ("avx512vnni", "int8", 4),  # vpdpbusd
        ("avxvnni", "int8", 4),
    ],
)
def test_products_of_one_instruction_and_lane(target: str, precision: str, products: int) -> None:
    assert _dot(NUMBER_FORMATS[precision].targets[target], precision)[2] == products


@needs_compiler
@pytest.mark.parametrize("precision", ["bf16", "bf16x3", "int8"])
def test_tiles_have_a_higher_limit_than_vectors(precision: str) -> None:
    amx = NUMBER_FORMATS[precision].targets["amx"]
    if lacking := missing(amx.features):
        pytest.skip(f"{LACKS} {', '.join(lacking)}")
    assert mult_adds_a_second("amx", precision) > mult_adds_a_second("avx512", precision)
