"""The networks: anchors, targets, and ONNX Runtime's boxes against torch's."""

from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from mobilenets.arch.graph import expand
from mobilenets.arch.network import SHALLOW_BODY, Block, Network
from mobilenets.data.sources import Dataset, Sample
from mobilenets.errors import UsageError
from mobilenets.exporters.onnx import to_onnx
from mobilenets.heads import Layout, taps
from mobilenets.image import Preprocess, normalise
from mobilenets.model import Model
from mobilenets.runtime import Session
from mobilenets.tasks.detect import Detect
from mobilenets.tasks.detection.boxes import Boxes
from mobilenets.training.module import MobileNet, initialise, weights_of
from mobilenets.training.parity import check_parity

TARGET = Boxes(
    np.array([[0.1, 0.1, 0.3, 0.4], [0.5, 0.5, 0.9, 0.8]], np.float32), np.array([0, 1]), np.zeros(2, bool), (9, 9)
)
SIDES = np.geomspace(0.1, 0.9, 24)  # something for each map
MANY = Boxes(
    np.stack([0 * SIDES, 0 * SIDES, SIDES, SIDES], 1).astype(np.float32),
    np.arange(24) % 2,
    np.zeros(24, bool),
    (9, 9),
)
NOTHING = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool), (9, 9))
DATA = Dataset(Path(), ("a", "b"), {"train": (Sample("x", TARGET, lambda: b""),)}, "", ())
TASKS = {"ssd": Detect(), "ssdlite": Detect(lite=True), "faster-rcnn": Detect(detector="faster-rcnn")}


def made(task: Detect, network: Network, seed: int = 0) -> tuple[Any, Model]:
    """A module whose outputs differ from anchor to anchor, and its model."""
    network = task.configure_network(network, DATA)
    head_config = task.head_config(network, DATA)
    module: Any = task.module(MobileNet(expand(network)), network, head_config)
    initialise(module, seed)
    generator = torch.Generator().manual_seed(seed)
    for name, array in module.state_dict().items():
        if name.endswith("running_mean"):
            array.normal_(0, 0.1, generator=generator)
        elif ("head" in name or "predictor" in name) and array.ndim > 1:
            array.normal_(0, array[0].numel() ** -0.5, generator=generator)
    preprocess = task.configure_preprocessing(Preprocess(network.height, network.width))
    return module.eval(), Model(
        network, weights_of(module.state_dict()), preprocess, DATA.labels, task.name, head_config
    )


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(
    "network",
    [
        Network(0.25, 96, 64),
        Network(0.25, 65, 65, padding="same", activation="relu6", epsilon=1e-3),
        Network(0.25, 32, 32, blocks=SHALLOW_BODY, padding="keras", head=64),
    ],
    ids=["symmetric", "tensorflow", "keras"],
)
def test_onnx_runtime_finds_torch_s_boxes(kind: str, network: Network) -> None:
    module, model = made(TASKS[kind], network)
    session = Session.from_onnx(to_onnx(model), threads=1)
    shape = (3, network.height, network.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with torch.no_grad():
        expected = module(torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)).numpy()
    found = session.run(images)
    assert found.shape == expected.shape == (3, 100, 6)
    assert (expected[:, 0, 5] >= 0).all()  # there is something to compare
    for ours, theirs in zip(found, expected, strict=True):
        count = int((theirs[:, 5] >= 0).sum())
        np.testing.assert_array_equal(ours[:, 5], theirs[:, 5])
        np.testing.assert_allclose(ours[:, 4], theirs[:, 4], atol=1e-5)
        overlap = box_iou(torch.from_numpy(ours[:count, :4]), torch.from_numpy(theirs[:count, :4])).diagonal()
        assert overlap[torch.from_numpy(theirs[:count, 2:4] > theirs[:count, :2]).all(1)].min() > 0.99
    assert check_parity(model, session.logits) < 1e-4


@pytest.mark.parametrize(("kind", "overlap"), [("ssd", 0.45), ("faster-rcnn", 0.5)])
def test_boxes_of_one_class_overlap_no_more_than_in_the_papers(kind: str, overlap: float) -> None:
    """Random weights find something nearly everywhere: what is left touches the bound."""
    module, model = made(TASKS[kind], Network(0.25, 96, 96))
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    with torch.no_grad():
        found = module(torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2))
    most = [
        box_iou(boxes, boxes).fill_diagonal_(0).max().item()
        for image in found
        for label in (0, 1)
        if len(boxes := image[image[:, 5] == label, :4]) > 1
    ]
    assert overlap - 0.1 < max(most) <= overlap + 1e-5


@pytest.mark.parametrize(("height", "width"), [(300, 300), (160, 160), (96, 224)])
def test_ssd_s_anchors_are_torchvision_s_and_follow_the_resolution(height: int, width: int) -> None:
    _, model = made(Detect(), Network(0.25, height, width))
    maps = Layout.of(model.network).maps
    assert maps[0] == (-(-height // 16), -(-width // 16)) and (max(maps[-1]) == 1 or len(maps) == 6)
    assert all(b == (-(-a[0] // 2), -(-a[1] // 2)) for a, b in pairwise(maps))
    scales = model.head_config["scales"]
    generator = DefaultBoxGenerator(model.head_config["ratios"], scales=scales, clip=False)
    images = ImageList(torch.zeros(1, 3, height, width), [(height, width)])
    expected = generator(images, [torch.zeros(1, 1, *size) for size in maps])[0].numpy()
    np.testing.assert_array_equal(model.weights["task.anchor_generator.boxes"], expected)
    sizes = (expected[:, 2:] - expected[:, :2]) / (width, height)
    assert np.isclose(sizes.min(), scales[0] / 2**0.5) and scales == sorted(scales)


def test_faster_rcnn_s_anchors_are_torchvision_s() -> None:
    _, model = made(TASKS["faster-rcnn"], Network(0.25, 128, 128))
    sizes = tuple(round(size * 128) for size in model.head_config["sizes"])
    images = ImageList(torch.zeros(1, 3, 128, 128), [(128, 128)])
    expected = AnchorGenerator((sizes,), ((0.5, 1.0, 2.0),))(images, [torch.zeros(1, 1, 8, 8)])[0].numpy()
    np.testing.assert_array_equal(model.weights["task.rpn.anchor_generator.boxes"], expected)


def test_what_faster_rcnn_learns_as_things_and_as_background_is_torchvision_s() -> None:
    stages, peer = made(TASKS["faster-rcnn"], Network(0.25, 64, 64))[0].task, signature(FasterRCNN).parameters
    for matcher, stage in ((stages.rpn.proposal_matcher, "rpn"), (stages.roi_heads.proposal_matcher, "box")):
        assert matcher.high_threshold == peer[f"{stage}_fg_iou_thresh"].default
        assert matcher.low_threshold == peer[f"{stage}_bg_iou_thresh"].default


@pytest.mark.parametrize("kind", TASKS)
def test_every_array_learns(kind: str) -> None:
    """Images without a box among others; the anchors stay."""
    module, _ = made(TASKS[kind], Network(0.25, 64, 64))
    module.train()
    losses = module.losses(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)), [MANY, NOTHING] * 2)
    sum(losses.values()).backward()
    silent = {name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().max()}
    assert silent == {"task.rpn.anchor_generator.boxes" if kind == "faster-rcnn" else "task.anchor_generator.boxes"}
    again = module.losses(torch.zeros(2, 3, 64, 64), [NOTHING] * 2)
    assert all(torch.isfinite(value) for value in again.values())


def test_a_loss_repeats_bit_for_bit() -> None:
    """Faster R-CNN draws regions: from a generator of its own."""
    module, _ = made(TASKS["faster-rcnn"], Network(0.25, 64, 64))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    values = [sum(module.losses(x, [TARGET] * 2).values()).item() for _ in range(2)]
    assert values[0] == values[1]


def test_where_a_detector_listens() -> None:
    assert taps(Network()) == ("pw11_act", "pw13_act")
    assert taps(Network(convolution="full", blocks=SHALLOW_BODY)) == ("conv6_act", "conv8_act")
    assert taps(Network(head=1280)) == ("pw11_act", "head_act")
    with pytest.raises(UsageError, match="with a stride of 2 after its first block"):
        taps(Network(blocks=(Block(2, 32), Block(1, 64))))


def test_settings_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="it makes SSD's head separable"):
        Detect(detector="faster-rcnn", lite=True).head_config(Network(0.25, 64, 64, output="features"), DATA)
