"""What a network costs on a microcontroller: memory against the C itself, time against an emulator, the search."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from board import BOARDS, built, needs, ran
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import NETWORKS, integers_of, model_of

import mobilenets as mn
from mobilenets.arch.network import SHALLOW_BODY
from mobilenets.cli import main
from mobilenets.compiler.micro import micro_sources
from mobilenets.costs import DeviceCost, cost
from mobilenets.designs import Budget, Prior, Space, search
from mobilenets.designs.search import _least
from mobilenets.devices import DEVICES, Estimator, cost_on
from mobilenets.errors import BudgetError, UsageError
from mobilenets.runtime.activations import min_max_integers
from mobilenets.runtime.measure import untrained

pytestmark = pytest.mark.any_processor
M4 = DEVICES["cortex-m4"]
SMALL = Space(mn.Network(classes=3), ("v1",), alphas=(0.1, 0.15, 0.25), resolutions=(32, 48, 64))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "full"])
def test_memory_is_that_of_the_c(name: str, device: str) -> None:
    """Of every padding, activation and output, though only shapes are known."""
    network = NETWORKS[name]
    made = micro_sources(integers_of(model_of(network)), DEVICES[device].core)
    found = cost_on(network, DEVICES[device]).memory
    assert (found.arena, found.stack, found.weights) == (made.arena, made.stack, made.weights)
    estimate = Estimator(DEVICES[device])
    assert estimate.least_ram(network) <= estimate.ram(network) == found.ram
    assert estimate.least_flash(network) <= estimate.flash(network) == found.flash
    assert estimate.least_milliseconds(network) <= estimate.milliseconds(network)


@settings(max_examples=8)
@given(st.floats(0.05, 0.2), st.integers(32, 80), st.integers(32, 80), st.booleans())
def test_memory_of_any_network(alpha: float, height: int, width: int, shallow: bool) -> None:
    network = mn.Network(alpha, height, width, classes=3)
    if shallow:
        network = network.replace(blocks=SHALLOW_BODY)
    made = micro_sources(integers_of(model_of(network)), M4.core)
    found = cost_on(network, M4).memory
    assert (found.arena, found.weights) == (made.arena, made.weights)


@pytest.mark.parametrize("device", ["cortex-m4", "cortex-m55", "riscv32"])
def test_memory_of_hard_swish(device: str) -> None:
    """Whose tables are part of the weights, and whose depthwise convolutions need no padded rows."""
    network = mn.Network(0.2, 48, 40, classes=3, blocks=SHALLOW_BODY[:6], activation="hard_swish")
    model = min_max_integers(untrained(network), np.zeros((1, 48, 40, 3), np.uint8))
    made = micro_sources(model, DEVICES[device].core)
    found = cost_on(network, DEVICES[device]).memory
    assert (found.arena, found.weights) == (made.arena, made.weights)


@needs("arm-none-eabi-gcc")
@pytest.mark.parametrize("device", ["cortex-m4", "cortex-m55"])
def test_code_is_no_more_than_estimated(device: str, tmp_path: Path) -> None:
    network = NETWORKS["0.25-128"]
    made = micro_sources(integers_of(model_of(network)), DEVICES[device].core)
    for name, text in made.files.items():
        (tmp_path / name).write_text(text)
    flags = DEVICES[device].core.flags
    subprocess.run(["arm-none-eabi-gcc", *flags, "-O2", "-c", "network.c"], cwd=tmp_path, check=True)
    sizes = subprocess.run(
        ["arm-none-eabi-size", "network.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    code = int(sizes.stdout.splitlines()[1].split()[0]) - made.weights
    assert code <= cost_on(network, DEVICES[device]).memory.code <= 1.2 * code


COUNT = """
#include <stdio.h>
#include "mobilenets_network.h"
#include "picture.h"
static uint8_t arena[MOBILENETS_NETWORK_ARENA_BYTES] __attribute__((aligned(8)));
static int8_t logits[MOBILENETS_NETWORK_CLASSES];
int main(void) {
    unsigned before;
    *(volatile unsigned *)0xE000E014 = 0xffffff;
    *(volatile unsigned *)0xE000E010 = 5;
    before = *(volatile unsigned *)0xE000E018;
    mobilenets_network_run(picture, logits, arena);
    printf("%u\\n", (before - *(volatile unsigned *)0xE000E018) & 0xffffff);
    return 0;
}
"""
TICK = {"cortex-m4": 40.0, "cortex-m55": 31.25}  # instructions
NEAR = {"cortex-m4": 0.06, "cortex-m55": 0.12}


@needs("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.parametrize("device", TICK)
@pytest.mark.parametrize("shape", [(0.25, 56, 40), pytest.param((0.15, 96, 80), marks=pytest.mark.slow)])
def test_instructions_are_near_those_counted(device: str, shape: tuple[float, int, int], tmp_path: Path) -> None:
    """Of networks that were not fitted and are no squares, whose errors benchmarks/device_latency.py states."""
    network = mn.Network(*shape, classes=3)
    pixels = np.random.default_rng(0).integers(0, 256, network.height * network.width * 3)
    files = micro_sources(integers_of(model_of(network)), DEVICES[device].core).files
    texts = {
        **files,
        "main.c": COUNT,
        "picture.h": f"static const uint8_t picture[] = {{{', '.join(map(str, pixels))}}};",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    sources = [tmp_path / "main.c", tmp_path / "network.c"]
    program = built(BOARDS[device], sources, tmp_path, tmp_path, "-O2", *DEVICES[device].core.flags)
    code, said = ran(BOARDS[device], program, "-icount", "shift=0")
    assert code == 0
    assert cost_on(network, DEVICES[device]).instructions == pytest.approx(int(said) * TICK[device], rel=NEAR[device])


def test_layers_and_their_sum() -> None:
    network = mn.named("0.25-96").replace(classes=2)
    found = cost_on(network, M4, 80.0)
    assert [layer.name for layer in found.layers] == [layer.name for layer in cost(network).layers][:-1]
    assert found.milliseconds == pytest.approx(sum(layer.cycles for layer in found.layers) / 80e3)
    assert cost_on(network, M4).milliseconds == pytest.approx(found.milliseconds * 80 / M4.clock)
    assert cost_on(network, DEVICES["cortex-m7"]).instructions == found.instructions


def fits(found: DeviceCost, ram: int, flash: int, milliseconds: float) -> bool:
    return found.memory.ram <= ram and found.memory.flash <= flash and found.milliseconds <= milliseconds


@pytest.mark.parametrize(
    "limits", [(9_000, 60_000, 30.0), (20_000, 10**6, 1e4), (10**6, 90_000, 1e4), (10**6, 10**6, 20)]
)
def test_a_search_against_brute_force(limits: tuple[int, int, float]) -> None:
    prior = Prior.published()
    ram, flash, milliseconds = limits
    budget = Budget(max_ram=ram, max_flash=flash, max_latency=milliseconds, device="cortex-m4", clock="60MHz")
    design = search(budget, SMALL, prior, estimate=Estimator(M4, 60.0))
    fitting = [n for n in SMALL.networks() if fits(cost_on(n, M4, 60.0), *limits)]
    assert design.feasible == len(fitting)
    assert design.choice.score == max(map(prior.score, fitting))
    assert all(c.device and fits(c.device, *limits) for c in (design.choice, *design.front))
    assert "max_ram" in design.reason and "max_flash" in design.reason and " ms of max_latency" in design.reason


def test_least_asks_no_more_than_it_needs() -> None:
    asked: list[int] = []

    def value(item: int) -> float:
        asked.append(item)
        return item + 0.5

    assert _least([5, 1, 3, 2], value, float) == 1 and asked == [1]  # type: ignore[type-var, arg-type, comparison-overlap]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_flash": "1MB"}, "max_flash (=1000000) is of a microcontroller: give device as well"),
        ({"max_ram": "1MB", "clock": "80MHz"}, "clock (=80.0) is of a microcontroller: give device as well"),
        (
            {"clock": "80 parsecs", "device": "cortex-m4"},
            "clock: '80 parsecs' is not a clock such as 80MHz or 80 (MHz)",
        ),
        ({"max_flash": 1.5, "device": "cortex-m4"}, "max_flash (=1.5) must be a whole number"),
    ],
)
def test_what_no_budget_is(fields: dict[str, object], message: str) -> None:
    with pytest.raises(BudgetError) as error:
        Budget(**fields)  # type: ignore[arg-type]
    assert str(error.value) == message


def test_what_a_search_refuses() -> None:
    with pytest.raises(BudgetError, match=r"give at least one bound: .*, max_flash or max_latency"):
        mn.design({"device": "cortex-m4"}, SMALL)
    with pytest.raises(BudgetError, match=r"no network fits max_ram 2 KB: the smallest, .* needs 3\.\d+ KB"):
        mn.design({"device": "cortex-m4", "max_ram": "2KB"}, SMALL)
    with pytest.raises(UsageError, match=r"device \(='z80'\) must be one of cortex-m4, "):
        mn.design({"device": "z80", "max_ram": "2KB"}, SMALL)
    with pytest.raises(UsageError, match=r"clock \(=80\) is of a microcontroller"):
        mn.cost("0.25-96", clock=80)


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main([*command]) == 0
    return capsys.readouterr().out


def test_tables_and_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flags = ["--device", "cortex-m33", "--clock", "80MHz"]
    described = mn.cost("0.25-96", device="cortex-m33", clock="80MHz")
    assert json.loads(printed(capsys, "describe", "0.25-96", *flags, "--json")) == json.loads(
        json.dumps(described.to_dict())
    )
    table = printed(capsys, "describe", "0.25-96", *flags)
    assert described.device and f"about {described.device.milliseconds:.4g} ms" in table
    assert all(f"{layer.instructions:,}" in table for layer in described.device.layers)
    model = integers_of(model_of(NETWORKS["odd"])).save(tmp_path / "m.safetensors")
    found = json.loads(printed(capsys, "describe", str(model), *flags, "--json"))["device"]
    folder = mn.compile(model, tmp_path / "c", device="cortex-m33").to_dict()
    assert all(found[key] == folder[key] for key in found if key.endswith("_bytes"))
    bounds = ["--max-ram", "8KB", "--max-flash", "70KB", "--max-latency", "100ms", "--classes", "3", "--alpha", "0.1"]
    found = json.loads(printed(capsys, "design", *flags, *bounds, "--json"))
    assert found["choice"]["device"]["ram_bytes"] <= 8000 and found["choice"]["device"]["clock_mhz"] == 80
    assert f"> {found['choice']['name']}" in printed(capsys, "design", *flags, *bounds)


def test_training_for_a_device(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--device also names where training runs; a microcontroller is what the budget is of."""
    command = ["train", str(photos), "--alpha", "0.1", "--family", "v1", "--epochs", "1"]
    assert main([*command, "--device", "cortex-m4", "--max-ram", "1KB", "--max-flash", "100KB"]) == 2
    assert "1 KB: the smallest, " in capsys.readouterr().err
    assert main([*command, "--device", "cortex-m4"]) == 2
    assert "--device cortex-m4 needs a budget: --max-ram, --max-flash" in capsys.readouterr().err
    assert main([*command, "--max-flash", "100KB"]) == 2
    assert "--max-flash (=100000) is of a microcontroller: give device" in capsys.readouterr().err
    assert main([*command, "--device", "cortex-m5"]) == 2
    assert "must be auto, cpu, cuda" in capsys.readouterr().err
