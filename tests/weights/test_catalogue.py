"""The list of published networks: complete, true where it can be checked here, and what docs/pretrained.md says."""

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mobilenets.arch.graph import expand, weight_shapes
from mobilenets.arch.network import BODY
from mobilenets.arch.zoo import named
from mobilenets.designs.points import POINTS
from mobilenets.errors import NetworkError, UsageError
from mobilenets.weights.hub.catalogue import CATALOGUE, Published, find

PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"
BY_NAME = {published.name: published for published in CATALOGUE}


def test_names_are_unique_and_safe_as_folders() -> None:
    assert len(BY_NAME) == len(CATALOGUE) == 16 + 4 + 3 + 22 + 6 + 5 + 16
    for published in CATALOGUE:
        assert re.fullmatch(r"(keras|coral|timm|torchvision)/[\w.-]+", published.name)
        assert all(re.fullmatch(r"[\w.-]+\.(h5|tflite|safetensors|pth)", file.name) for file in published.files)
        digits = "[0-9a-f]{8}" if published.name.startswith("torchvision/") else "[0-9a-f]{64}"
        assert all(file.sha256 is None or re.fullmatch(digits, file.sha256) for file in published.files)
        assert all(file.md5 is None or re.fullmatch("[0-9a-f]{32}", file.md5) for file in published.files)
        assert len({file.name for file in published.files}) == len(published.files)


SLIM = {  # ImageNet top-1 in mobilenet_v1.md of TF-slim, June 2017: alpha -> at 128, 160, 192 and 224 pixels
    0.25: (41.3, 46.0, 49.0, 50.6),
    0.5: (56.2, 59.9, 62.1, 64.0),
    0.75: (61.8, 65.2, 67.4, 68.4),
    1.0: (64.1, 67.2, 69.3, 70.7),
}


def test_keras_publishes_every_alpha_at_every_resolution() -> None:
    found = {(p.alpha, p.height): (p.name, p.top1) for p in CATALOGUE if p.name.startswith("keras/") and not p.family}
    assert found == {
        (alpha, height): (f"keras/{alpha:g}-{height}", top1)
        for alpha, figures in SLIM.items()
        for height, top1 in zip((128, 160, 192, 224), figures, strict=True)
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("alpha", "height"), [(0.25, 128), (0.5, 160), (0.75, 192), (1.0, 224)])
def test_keras_itself_asks_for_the_same_files(alpha: float, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    applications = pytest.importorskip("keras").applications.mobilenet
    module = pytest.importorskip("keras.src.applications.mobilenet")
    asked: list[str] = []

    class Enough(Exception):
        pass

    def get_file(name: str, url: str, **_: object) -> str:
        asked.append(url)
        raise Enough

    monkeypatch.setattr(module.file_utils, "get_file", get_file)
    with pytest.raises(Enough):
        applications.MobileNet((height, height, 3), alpha)
    published = BY_NAME[f"keras/{alpha:g}-{height}"]
    assert [file.url for file in published.files] == asked
    assert published.given.size == (height, height)
    assert (published.alpha, published.height) == (alpha, height)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_keras_asks_for_the_same_files_of_v2_and_v3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    applications = pytest.importorskip("keras").applications
    asked: dict[str, str | None] = {}

    class Enough(Exception):
        pass

    def get_file(name: str, url: str, file_hash: str | None = None, **_: object) -> str:
        asked[url] = file_hash
        raise Enough

    for version in ("v2", "v3"):
        module = pytest.importorskip(f"keras.src.applications.mobilenet_{version}")
        monkeypatch.setattr(module.file_utils, "get_file", get_file)
    newer = [published for published in CATALOGUE if published.name.startswith("keras/") and published.family]
    for published in newer:
        size, alpha = (published.height, published.height, 3), published.alpha
        with pytest.raises(Enough):
            if published.family == "v2":
                applications.MobileNetV2(size, alpha)
            else:
                small = published.family.startswith("v3-small")
                network = applications.MobileNetV3Small if small else applications.MobileNetV3Large
                network(size, alpha, minimalistic="minimalistic" in published.family)
    assert asked == {published.files[0].url: published.files[0].md5 for published in newer}


def settings_of(published: Published, mean: Sequence[float], std: Sequence[float], crop: float, resize: str) -> None:
    """Compare with a library's settings of an evaluation, whose pixels are from 0 to 1."""
    assert published.given.pixels is not None
    for ours, theirs in zip(published.given.pixels, (mean, std), strict=True):
        assert np.broadcast_to(ours, 3) == pytest.approx([255 * value for value in theirs])
    assert (published.given.crop, published.given.resize) == (pytest.approx(crop), resize)


def test_torchvision_knows_the_same_networks() -> None:
    models = pytest.importorskip("torchvision").models
    theirs = {}
    for kind in (models.MobileNet_V2_Weights, models.MobileNet_V3_Large_Weights, models.MobileNet_V3_Small_Weights):
        for weights in kind:
            name = kind.__name__.removesuffix("_Weights").lower()
            theirs[f"torchvision/{name}.{weights.name}"] = weights
    assert {published.name for published in CATALOGUE if published.name.startswith("torchvision/")} == set(theirs)
    for name, weights in theirs.items():
        published, how = BY_NAME[name], weights.transforms()
        assert published.files[0].url == weights.url
        assert published.top1 == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert how.crop_size == [published.height] and how.interpolation.value == published.given.resize
        settings_of(published, how.mean, how.std, how.crop_size[0] / how.resize_size[0], "bilinear")
        assert published.files[0].sha256 is not None and f"-{published.files[0].sha256}.pth" in weights.url


ELSEWHERE = re.compile(  # deeper and wider variants, bodies of others' code, classes other than ImageNet's 1000
    r"mobilenet(v2_1[12]0d|v3_rw|v3_large_150d|v3_large_100.miil_in21k$|v4_(conv_aa|conv_blur|hybrid|conv_large))"
    r"|tf_mobilenet|.*in12k$"
)


def test_timm_knows_the_same_networks() -> None:
    timm = pytest.importorskip("timm")
    theirs = {f"timm/{name}" for name in timm.list_pretrained("mobilenetv[1234]*") if not ELSEWHERE.match(name)}
    ours = {published.name for published in CATALOGUE if published.name.startswith("timm/")}
    assert ours == theirs
    for name in ours:
        settings, published = timm.get_pretrained_cfg(name.removeprefix("timm/")), BY_NAME[name]
        assert settings.hf_hub_id == name
        assert settings.license.lower() == published.licence.lower()
        assert settings.input_size == (3, *(published.given.size or ()))
        if published.family:
            settings_of(published, settings.mean, settings.std, settings.crop_pct, settings.interpolation)


def test_corals_hashes_are_those_of_the_shared_files(shared_data: Path) -> None:
    for published in CATALOGUE:
        for file in published.files if published.name.startswith("coral/") else ():
            content = (shared_data / "weights" / file.name).read_bytes()
            assert (file.sha256, file.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_figures_agree_with_those_of_the_prior() -> None:
    separable = [p for p in POINTS if p.network.blocks == BODY and p.network.convolution == "separable"]
    v1 = [point for point in separable if point.recipe == "V1 paper"]
    slim = {point.network.name: point.top1 for point in v1 if "TF-slim" in point.source}
    assert len(slim) == 8
    for name, top1 in slim.items():
        assert BY_NAME[f"keras/{name}"].top1 == top1
    v2 = {f"keras/{p.network.name}": p.top1 for p in POINTS if p.recipe == "V2 paper"}
    assert v2 == {p.name: p.top1 for p in CATALOGUE if p.name.startswith("keras/v2-")}
    for point in v1:  # the paper's own are of other checkpoints
        assert abs((BY_NAME[f"keras/{point.network.name}"].top1 or 0) - point.top1) < 0.35


def test_every_figure_has_a_source() -> None:
    assert all(bool(published.source) == (published.top1 is not None) for published in CATALOGUE)
    for published in CATALOGUE:
        of_torch = published.name.startswith("torchvision/")
        assert published.licence == ("BSD-3-Clause" if of_torch else "Apache-2.0")


# ---- which one `imagenet` is


@pytest.mark.parametrize(
    ("alpha", "height", "name"),
    [
        (0.25, 128, "keras/0.25-128"),  # float before coral's
        (0.5, 160, "keras/0.5-160"),
        (0.25, 96, "keras/0.25-128"),
        (0.25, 320, "keras/0.25-224"),
        (0.3, 128, "keras/0.25-128"),
        (0.36, 128, "keras/0.5-128"),  # nearer to 0.5 by ratio, though not by difference
        (0.5 * 0.5**0.5, 128, "keras/0.5-128"),  # half-way: the wider
        (0.75**0.5, 192, "keras/1-192"),
        (1.25**0.5, 128, "timm/mobilenetv1_125.ra4_e3600_r224_in1k"),  # half-way again, whatever the resolution
        (0.4, 160, "keras/0.5-160"),
        (0.75, int((160 * 192) ** 0.5), "keras/0.75-160"),
        (0.1, 224, "keras/0.25-224"),
        (1.0, 224, "timm/mobilenetv1_100.ra4_e3600_r224_in1k"),  # the better published of two equally near
        (None, None, "timm/mobilenetv1_100.ra4_e3600_r224_in1k"),
        (1.0, 192, "keras/1-192"),
        (1.25, 128, "timm/mobilenetv1_125.ra4_e3600_r224_in1k"),  # alpha goes before resolution
        (2.0, 224, "timm/mobilenetv1_125.ra4_e3600_r224_in1k"),
        (0.25, None, "keras/0.25-224"),
        (None, 128, "keras/1-128"),
    ],
)
def test_imagenet_is_the_nearest(alpha: float | None, height: int | None, name: str) -> None:
    assert find("imagenet", alpha, height).name == name


@pytest.mark.parametrize(
    ("family", "alpha", "height", "name"),
    [
        ("v2", 0.35, 96, "keras/v2-0.35-96"),
        ("v2", 1.4, 224, "timm/mobilenetv2_140.ra_in1k"),
        ("v2", 0.25, 64, "keras/v2-0.35-96"),
        ("v3-large", 1.0, 224, "timm/mobilenetv3_large_100.miil_in21k_ft_in1k"),
        ("v3-small-minimalistic", 0.5, 96, "keras/v3-small-minimalistic-1-224"),
        ("v4-conv-small", 0.75, 160, "timm/mobilenetv4_conv_small.e2400_r224_in1k"),
    ],
)
def test_the_nearest_of_a_family(family: str, alpha: float, height: int, name: str) -> None:
    assert find("imagenet", alpha, height, family).name == name
    assert BY_NAME[name].family == family


def test_a_family_of_which_none_is_published() -> None:
    with pytest.raises(UsageError, match="no published network is of family fd"):
        find("imagenet", family="fd")


def test_a_name_is_that_network_whatever_is_asked_for() -> None:
    for published in CATALOGUE:
        assert find(published.name, 0.5, 96) is published
        assert find(f"imagenet:{published.name}", 0.5, 96) is published


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("keras/0.25-129", "keras/0.25-128"),
        ("keras/1.0-224", "keras/1-224"),
        ("imagenet:coral/0.25", "coral/0.25-128"),
        ("mobilenetv1_100", "timm/mobilenetv1_100.ra4_e3600_r224_in1k"),
        ("imagnet", "imagenet"),
        ("", "imagenet"),
    ],
)
def test_an_unknown_name_lists_near_ones(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=re.escape(near)) as error:
        find(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("alpha", "height"), [(-1.0, 224), (0.0, 224), (0.5, 3), (float("nan"), 224)])
def test_a_network_that_cannot_be_has_none_near(alpha: float, height: int) -> None:
    with pytest.raises(NetworkError):
        find("imagenet", alpha, height)


# ---- the page


def row(published: Published) -> str:
    """What docs/pretrained.md says of a network, as it must stand there."""
    size = f"{published.size:,} bytes" if published.size else f"about {about(published) / 1e6:.1f} MB"
    top1 = f"{published.top1:.1f} ({published.source})" if published.top1 else "not published"
    command = f"`mobilenets train photos --pretrained {published.name}`"
    family = published.family or "v1"
    cells = (
        family,
        f"{published.alpha:g}",
        str(published.height),
        top1,
        size,
        published.what,
        published.licence,
        command,
    )
    return f"| {' | '.join(cells)} |"


def about(published: Published) -> int:
    """Bytes of the arrays in a float32 file of which nobody states the size."""
    prefix = "head-" if published.head else f"{published.family}-" if published.family else ""
    network = named(f"{prefix}{published.alpha:g}-{published.height}")
    return 4 * sum(math.prod(shape) for shape in weight_shapes(expand(network)).values())


@pytest.mark.parametrize("published", CATALOGUE, ids=lambda published: published.name)
def test_the_page_says_what_the_catalogue_says(published: Published) -> None:
    assert row(published) in PAGE.read_text().splitlines(), f"docs/pretrained.md lacks the row\n{row(published)}"


def test_the_page_names_no_other_network() -> None:
    assert set(re.findall(r"--pretrained ((?:keras|coral|timm|torchvision)/[^\s`]+)", PAGE.read_text())) == set(BY_NAME)
