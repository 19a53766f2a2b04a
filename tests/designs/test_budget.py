"""How budgets are written, read and refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch import named
from mobilenets.costs import PRECISIONS, cost
from mobilenets.designs import Budget, parse_count, parse_size, parse_time
from mobilenets.designs.budget import parse_duration, show_bytes, show_count
from mobilenets.errors import BudgetError
from mobilenets.verbs.arguments import seconds_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10M", 10_000_000),
        ("1.1M", 1_100_000),
        ("300k", 300_000),
        ("300K", 300_000),
        ("1.5G", 1_500_000_000),
        ("2B", 2_000_000_000),
        ("250000", 250_000),
        (" 4 M ", 4_000_000),
        (".5M", 500_000),
        ("1.9", 1),
    ],
)
def test_counts(text: str, value: int) -> None:
    assert parse_count(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500KB", 500_000),
        ("500K", 500_000),
        ("2MB", 2_000_000),
        ("2M", 2_000_000),
        ("1MiB", 1_048_576),
        ("0.5kib", 512),
        ("300000", 300_000),
        ("16B", 16),
        ("1GB", 1_000_000_000),
        ("3g", 3_000_000_000),
        ("1.5GiB", 1_610_612_736),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("15ms", 15.0), ("0.5s", 500.0), ("15", 15.0), ("800us", 0.8), ("800µs", 0.8), ("0.3 ms", 0.3)]
)
def test_times(text: str, value: float) -> None:
    assert parse_time(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("30min", 1800), ("30m", 1800), ("2h", 7200), ("1.5 H", 5400), ("90", 90), ("500ms", 0.5)],
)
def test_durations(text: str, value: float) -> None:
    """Of the work that a verb may do, unlike the time of one image."""
    assert parse_duration(text) == seconds_of(text, "time") == value


def test_a_duration_of_nothing_and_what_is_none() -> None:
    assert seconds_of("0s", "tune") == seconds_of("0", "tune") == 0 and seconds_of(2.5, "tune") == 2.5
    with pytest.raises(BudgetError, match=r"^search \(='2 fortnights'\) is not a time such as 90s, 30min, 2h or 90"):
        seconds_of("2 fortnights", "search")


@pytest.mark.parametrize("parse", [parse_count, parse_duration, parse_size, parse_time])
@pytest.mark.parametrize(
    "text", ["", "M", "ten", "-1M", "1e6", "10 MM", "1,000", "1.2.3M", "nan", "inf", "٣M", "0", "0.0"]
)
def test_what_is_no_bound_is_refused(parse: object, text: str) -> None:
    with pytest.raises(BudgetError) as error:
        parse(text)  # type: ignore[operator]
    assert repr(text) in str(error.value) and "\n" not in str(error.value)


def test_less_than_one_is_refused() -> None:
    with pytest.raises(BudgetError, match=r"'0.5' must be at least 1"):
        parse_count("0.5")


@given(st.integers(1, 10**12), st.sampled_from([("", 1), ("k", 10**3), ("M", 10**6), ("g", 10**9)]))
def test_a_count_reads_back_exactly(thousandths: int, unit: tuple[str, int]) -> None:
    text = f"{thousandths // 1000}.{thousandths % 1000:03}{unit[0]}"
    exact = Fraction(thousandths, 1000) * unit[1]
    if exact >= 1:
        assert parse_count(text) == exact // 1
    else:
        with pytest.raises(BudgetError):
            parse_count(text)


@given(st.floats(1e-3, 1e6), st.sampled_from([("ms", 1.0), ("s", 1000.0), ("us", 0.001), ("", 1.0)]))
def test_a_time_reads_back(value: float, unit: tuple[str, float]) -> None:
    assert parse_time(f"{value:.6f}{unit[0]}") == pytest.approx(float(f"{value:.6f}") * unit[1])


@given(st.text(max_size=20))
def test_any_text_gives_a_number_or_one_line(text: str) -> None:
    for parse in (parse_count, parse_size, parse_time):
        try:
            assert parse(text) > 0
        except BudgetError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_mult_adds": 0}, "max_mult_adds (=0) must be above 0"),
        ({"max_params": 1.5}, "max_params (=1.5) must be a whole number"),
        ({"max_size": "2MX"}, "max_size: '2MX' is not a size"),
        ({"max_ram": True}, "max_ram (=True) must be a whole number"),
        ({"max_latency": float("nan")}, "max_latency (=nan) must be above 0"),
        ({"max_latency": float("inf")}, "max_latency (=inf) must be above 0 and finite"),
        ({"precision": "int4"}, "precision (='int4') must be one of fp32, fp16, int8"),
    ],
)
def test_impossible_bounds(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BudgetError) as error:
        Budget(**changes)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bounds_read_the_cost_at_the_precision(precision: str) -> None:
    costs = cost(named("0.25-96"))
    bounds = Budget(1, 2, 3, 4, 5.0, precision).bounds()
    assert [bound.name for bound in bounds] == ["max_mult_adds", "max_params", "max_size", "max_ram"]
    expected = [costs.mult_adds, costs.params, costs.bytes(precision), costs.peak_ram(precision)]
    assert [bound.cost(costs) for bound in bounds] == expected
    assert [bound.limit for bound in bounds] == [1, 2, 3, 4]


def test_how_values_are_shown() -> None:
    assert [show_count(v) for v in (7, 9876, 9_853_000, 1.147e9, 2e13)] == [
        "7",
        "9.876 k",
        "9.853 M",
        "1.147 G",
        "2e+04 G",
    ]
    assert [show_bytes(v) for v in (999, 320_900, 2e6)] == ["999 bytes", "320.9 KB", "2 MB"]
