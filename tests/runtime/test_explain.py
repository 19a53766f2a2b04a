"""Class activation maps: against torch's features, exact to the logit, drawn where they belong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeModel
from PIL import Image

from mobilenets import Explainer, open_session
from mobilenets.arch import Network, expand, named
from mobilenets.cli import main
from mobilenets.errors import UsageError
from mobilenets.image import Fit, Preprocess, crop_resize, normalise
from mobilenets.model import Model
from mobilenets.runtime.explain import view_box
from mobilenets.tasks.drawing import heated
from mobilenets.training.module import MobileNet, load_weights

pytestmark = pytest.mark.any_processor

NETWORK = Network(alpha=0.25, height=64, width=96, classes=4)


@pytest.fixture(scope="module")
def model(random_model: MakeModel) -> Model:
    return random_model(NETWORK)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)


def test_maps_are_torch_s_features_seen_by_the_classifier(model: Model, pixels) -> None:  # type: ignore[no-untyped-def]
    module = MobileNet(expand(NETWORK)).eval()
    load_weights(module, model.weights)
    seen: list[torch.Tensor] = []
    pool = next(layer for layer in module.modules() if isinstance(layer, torch.nn.AdaptiveAvgPool2d))
    pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = module(torch.from_numpy(normalise(pixels, model.preprocess)).permute(0, 3, 1, 2)).flatten(1)
    weight, bias = (torch.from_numpy(model.weights[f"fc.{name}"]) for name in ("weight", "bias"))
    expected = torch.einsum("nkhw,ck->nhwc", seen[0], weight) + bias
    found = Explainer(model).maps(pixels)
    assert found.shape == (3, 2, 3, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.mean((1, 2)), logits, rtol=1e-3, atol=1e-3)


def test_the_mean_of_a_map_is_the_logit(model: Model, pixels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    session = open_session(model.save(tmp_path / "model.safetensors"), runtime="onnx")
    np.testing.assert_allclose(Explainer(model).maps(pixels).mean((1, 2)), session.logits(pixels), rtol=1e-4, atol=1e-4)


NAMES = ["0.25-64", "head-0.25-64", "fd-0.25-64", "v2-0.35-64", "v3-small-0.35-64", "v3-large-minimalistic-0.35-64"]


@pytest.mark.parametrize("name", [*NAMES, "v4-conv-small-0.35-64"])
def test_maps_of_every_family(random_model: MakeModel, name: str) -> None:
    """Also through a hidden layer, whose units keep the ratio of output to input that they have for the whole image."""
    model = random_model(named(name).replace(classes=4))
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    module = MobileNet(expand(model.network)).eval()
    load_weights(module, model.weights)
    layer = {**dict(module.named_modules())}
    seen: dict[str, torch.Tensor] = {}
    layer["pool"].register_forward_pre_hook(lambda _, inputs: seen.update(features=inputs[0].clone()))
    layer["fc"].register_forward_pre_hook(lambda _, inputs: seen.update(last=inputs[0].clone()))
    with torch.no_grad():
        logits = module(torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)).flatten(1)
        places, mean = seen["features"], seen["features"].mean((2, 3), keepdim=True)
        for part in (layer[name] for name in ("hidden", "hidden_bn") if name in layer):
            places, mean = part(places), part(mean)
        places = places * torch.where(mean == 0, 0, seen["last"].reshape(mean.shape) / mean)
        expected = layer["fc"](places.permute(0, 2, 3, 1).reshape(-1, places.shape[1])).reshape(3, 2, 2, 4)
    found = Explainer(model).maps(images)
    scale = float(expected.abs().max())
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.mean((1, 2)) / scale, logits / scale, rtol=0, atol=1e-4)


def test_other_tasks_have_no_maps(random_model: MakeModel) -> None:
    model = random_model(Network(alpha=0.25, height=32, width=32, classes=8, output="l2_normalise"))
    object.__setattr__(model, "task", "embed")
    with pytest.raises(UsageError, match="the model's task is embed"):
        Explainer(model)


@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
@pytest.mark.parametrize("size", [(200, 100), (100, 200), (97, 64)])
def test_the_box_is_what_the_network_sees(fit: Fit, size: tuple[int, int]) -> None:
    """A picture of its own coordinates: each pixel of the input says where in the image it comes from."""
    width, height = size
    x = np.tile(np.arange(width, dtype=np.uint8), (height, 1))
    y = np.tile(np.arange(height, dtype=np.uint8)[:, None], (1, width))
    preprocess = Preprocess(64, 96, fit=fit)
    seen = crop_resize(Image.fromarray(np.dstack([x, y, np.full_like(x, 255)])), preprocess).astype(float)
    left, top, right, bottom = view_box(width, height, preprocess)
    inside = seen[:, :, 2] == 255
    for plane, low, high, axis in ((0, left, right, 1), (1, top, bottom, 0)):
        count = seen.shape[axis]
        place = low + (np.arange(count) + 0.5) * (high - low) / count - 0.5
        wanted = np.broadcast_to(place if axis else place[:, None], seen.shape[:2])
        margin = 3 + (high - low) / count
        middle = inside & (np.abs(seen[:, :, plane] - wanted) >= margin)
        assert middle.sum() == 0


def test_heat_is_drawn_where_it_is() -> None:
    image = Image.new("RGB", (120, 80), (200, 60, 60))
    heat = np.zeros((2, 3), np.float32)
    heat[0, 2] = 1.0
    page = np.asarray(heated(image, heat, (30, 10, 90, 50))).astype(int)
    assert (page[5, 60] == page[5, 60, 0]).all() and (page[70, 60] == page[70, 60, 0]).all()  # grey outside
    hot, cold = page[15, 85], page[45, 35]
    assert hot[0] > cold[0] + 50 and cold[2] > hot[2] + 20


def test_predict_draws_maps(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model.save(tmp_path / "model.safetensors")
    photo = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    command = ["predict", str(path), str(tmp_path / "a.png"), "--runtime", "onnx"]
    assert main([*command, "--pictures", str(tmp_path / "plain")]) == 0
    assert main([*command, "--pictures", str(tmp_path / "maps"), "--explain"]) == 0
    with Image.open(tmp_path / "plain" / "a.jpg") as plain, Image.open(tmp_path / "maps" / "a.jpg") as maps:
        assert plain.width == maps.width and plain.height < maps.height  # by the legend
        assert plain.crop((0, 0, 90, 60)).tobytes() != maps.crop((0, 0, 90, 60)).tobytes()
    capsys.readouterr()
    assert main([*command, "--explain"]) == 2
    assert "--explain is drawn on images: it needs --pictures FOLDER" in capsys.readouterr().err
