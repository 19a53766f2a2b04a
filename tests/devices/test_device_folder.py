"""The folder for a microcontroller: compiled for each core and run, read and built as its build systems do."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from board import BOARDS, STRICT, built, built_for_risc_v, compiled, needs, ran, ran_risc_v
from recorded import NETWORKS, integers_of, model_of
from stubs import ARDUINO, CMAKE, ESP_IDF, ZEPHYR

import mobilenets as mn
from mobilenets.cli import main
from mobilenets.compiler import has_compiler
from mobilenets.devices import DEVICES
from mobilenets.image import prepare
from mobilenets.quant import reference

pytestmark = pytest.mark.any_processor
OPTIMISATIONS = ["-O2", pytest.param("-Os", marks=pytest.mark.slow)]
needs_arm = needs("arm-none-eabi-gcc", "qemu-system-arm")
NETWORK = replace(NETWORKS["0.25-128"], height=48, width=40)
AGREES = "0 of 5 logits differ from those of the host\n"
BUILDS = {"cmake": CMAKE, "esp-idf": ESP_IDF, "zephyr": ZEPHYR}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return integers_of(model_of(NETWORK)).save(tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture(scope="module")
def folders(model: Path) -> dict[str, Path]:
    return {device: mn.compile(model, model.parent / device, device=device).folder for device in DEVICES}


def sources(folder: Path) -> list[Path]:
    return [folder / "examples" / "console" / "main.c", folder / "src" / "network.c"]


@needs_arm
@pytest.mark.parametrize("optimisation", OPTIMISATIONS)
@pytest.mark.parametrize("device", BOARDS)
def test_the_example_gives_the_logits_of_the_reference(
    device: str, optimisation: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """As strict C99; the flags are those that the README states."""
    board, folder = BOARDS[device], folders[device]
    flags = DEVICES[device].core.flags
    assert f"`-O2 {' '.join(flags)}`" in (folder / "README.md").read_text()
    options = [*flags, optimisation, "-std=c99", *STRICT]
    code, said = ran(board, built(board, sources(folder), folder / "src", tmp_path, *options))
    assert code == 0 and said.endswith(AGREES), said


@needs("riscv64-unknown-elf-gcc", "qemu-system-riscv32")
@pytest.mark.parametrize("optimisation", OPTIMISATIONS)
def test_risc_v_32(optimisation: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder, flags = folders["riscv32"], DEVICES["riscv32"].core.flags
    options = [*flags, optimisation, "-std=c99", *STRICT]
    code, said = ran_risc_v(built_for_risc_v(sources(folder), folder / "src", tmp_path, *options))
    assert code == 0 and said.endswith(AGREES), said


@needs("riscv64-linux-gnu-gcc", "qemu-riscv64")
@pytest.mark.parametrize("optimisation", OPTIMISATIONS)
def test_risc_v_64(optimisation: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder, program = folders["riscv32"], tmp_path / "program"
    options = ["-static", optimisation, "-std=c99", *STRICT, f"-I{folder / 'src'}"]
    compiled("riscv64-linux-gnu-gcc", *options, *sources(folder), "-o", program)
    done = subprocess.run(["qemu-riscv64", str(program)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.endswith(AGREES), done.stdout


@needs("arm-none-eabi-g++")
@pytest.mark.parametrize("device", BOARDS)
@pytest.mark.parametrize("standard", ["-std=c++11", "-std=c++20"])
def test_header_and_examples_are_c_plus_plus(
    device: str, standard: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = folders[device]
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    command = ["arm-none-eabi-g++", *DEVICES[device].core.flags, standard, *STRICT, f"-I{folder / 'src'}", "-x", "c++"]
    console, sketch = folder / "examples" / "console" / "main.c", folder / "examples" / "classify" / "classify.ino"
    compiled(*command, "-c", console, "-o", tmp_path / "main.o")
    compiled(*command, "-include", tmp_path / "Arduino.h", "-c", sketch, "-o", tmp_path / "sketch.o")


@needs("cmake")
@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
@pytest.mark.parametrize("build", BUILDS)
def test_build_systems_compile_what_their_files_list(build: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """On this machine, with stand-ins for the functions of ESP-IDF and Zephyr; then the example runs."""
    (tmp_path / "CMakeLists.txt").write_text(BUILDS[build].format(folder=folders["riscv32"]))
    for command in (["cmake", "-S", tmp_path, "-B", tmp_path / "build"], ["cmake", "--build", tmp_path / "build"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([tmp_path / "build" / "example"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith(AGREES)


def test_arduino_reads_its_properties(folders: dict[str, Path]) -> None:
    """The rules of the library specification of Arduino, revision 2.2."""
    for device, folder in folders.items():
        lines = (folder / "library.properties").read_text().splitlines()
        found = dict(line.split("=", 1) for line in lines)
        required = "name version author maintainer sentence paragraph category url architectures".split()
        assert len(found) == len(lines) and set(found) == {*required, "includes"} and all(found.values())
        assert re.fullmatch(r"[a-zA-Z0-9][\w .-]{0,62}", found["name"]) and not found["name"].lower().startswith(
            "arduino"
        )
        assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"]) and found["url"].startswith("https://")
        assert found["category"] == "Data Processing"
        assert found["architectures"] == ("esp32" if device == "esp32-s3" else "*")
        assert (folder / "src" / found["includes"]).is_file()
        assert [path.name for path in (folder / "examples" / "classify").iterdir()] == ["classify.ino"]


def test_zephyr_reads_its_module(folders: dict[str, Path]) -> None:
    """As scripts/zephyr_module.py of Zephyr checks a module."""
    folder = folders["cortex-m4"]
    found = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    assert found == {"name": "mobilenets_network", "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"}}
    assert (folder / found["build"]["cmake"] / "CMakeLists.txt").is_file()
    option = re.match(r"config (\w+)\n\tbool \"[^\"]+\"\n", (folder / found["build"]["kconfig"]).read_text())
    assert option and f"CONFIG_{option[1]}" in (folder / "zephyr" / "CMakeLists.txt").read_text()


def test_esp_idf_and_platformio_read_their_manifests(folders: dict[str, Path]) -> None:
    folder = folders["esp32-s3"]
    found = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"]) and found["description"] and found["dependencies"]["idf"]
    library = json.loads((folder / "library.json").read_text())
    assert re.fullmatch(r"[A-Za-z0-9_]{1,50}", library["name"]) and re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
    assert len(library["description"]) <= 255 and (folder / "src" / library["headers"]).is_file()
    assert (folder / library["build"]["srcDir"] / "network.c").is_file()
    for example in library["examples"]:
        assert all((folder / example["base"] / file).is_file() for file in example["files"])


def test_every_placeholder_is_filled(folders: dict[str, Path]) -> None:
    for path in folders["cortex-m4"].rglob("*"):
        assert path.is_dir() or not re.search(r"@\w+@", path.read_text())


def numbers(folder: Path, name: str) -> list[int]:
    """A constant array of the example's header."""
    text = (folder / "src" / "mobilenets_network_example.h").read_text()
    array = re.search(rf"mobilenets_network_{name}\[\d+\] = {{(.*?)}};", text, re.S)
    assert array
    return [int(number) for number in re.findall(r"-?\d+", array[1])]


def test_the_example_shows_a_photo(model: Path, photos: Path, tmp_path: Path) -> None:
    """Its pixels are those that `predict` sees, its logits those of the oracle; the table has what JSON has."""
    photo = next(photos.rglob("*.jpg"))
    made = mn.compile(model, tmp_path / "c", device="cortex-m7", image=photo)
    trained = mn.load(model)
    pixels = prepare(photo, trained.preprocess)
    assert numbers(made.folder, "pixels") == pixels.reshape(-1).tolist()
    assert numbers(made.folder, "logits") == reference.run(trained, pixels[None])[0].tolist()
    table = (made.folder / "README.md").read_text()
    found = made.to_dict()
    assert str(made).endswith(
        f"files for cortex-m7, {found['ram_bytes']:,} bytes of RAM, {found['flash_bytes']:,} of flash"
    )
    assert all(f" {found[f'{name}_bytes']:,} |" in table for name in ("arena", "stack", "weights", "code"))
    assert f"**{found['ram_bytes']:,}**" in table and f"**{found['flash_bytes']:,}**" in table


def test_files_are_replaced_only_when_told(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compile", str(model), "--device", "riscv32", "-o", str(tmp_path / "c")]
    assert main(command) == 0
    header = tmp_path / "c" / "src" / "mobilenets_network.h"
    header.write_text("mine")
    capsys.readouterr()
    assert main(command) == 2 and "exists: choose another --output, or use --overwrite" in capsys.readouterr().err
    assert header.read_text() == "mine"
    assert main([*command, "--overwrite"]) == 0 and header.read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--device cortex-m4 --target avx2",
            "--device (='cortex-m4') takes no target: leave one of them out",
        ),
        ("--image photo.jpg", "--image (='photo.jpg') needs a device, whose example shows it"),
        ("--device cortex-m4 --image none.jpg", "none.jpg: no such file"),
        ("--device cortex-m4 --name 4ever", "name '4ever' must be a word that C allows"),
        (f"--device cortex-m4 --name {'a' * 40}", "must be at most 39 characters"),
        ("--device cortex-m5", "cortex-m5"),
    ],
)
def test_what_is_refused(
    options: str, message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(model), "--output", str(tmp_path / "c"), *options.split()]) != 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line and not (tmp_path / "c").exists()


def test_a_float_model_is_quantized_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model_of(NETWORK).save(tmp_path / "floats.safetensors")
    assert main(["compile", str(path), "--device", "cortex-m4"]) == 2
    said = capsys.readouterr().err
    assert f"{path}: is fp32, and cortex-m4 takes int8: mobilenets quantize {path} --data PHOTOS first" in said


def test_pattern_is_a_picture_of_any_shape() -> None:
    from mobilenets.devices import pattern

    assert pattern(mn.Preprocess(33, 65, 1)).shape == (33, 65, 1)
    found = pattern(mn.Preprocess(32, 40))
    assert found.dtype == np.uint8 and (found[0, 0] == 0).all() and (found[-1, -1] == 255).all()
