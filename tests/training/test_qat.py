"""What training in integers computes is what the int8 network computes, and it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mobilenets.arch.fold import fold_batch_norm
from mobilenets.arch.graph import expand
from mobilenets.arch.layers import Layer
from mobilenets.arch.network import Block, Network
from mobilenets.arch.ops import Op
from mobilenets.errors import TrainingError
from mobilenets.image import Preprocess, normalise
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.calibrate import RULES
from mobilenets.quant.conversion import to_integers
from mobilenets.quant.elementwise import add, hard_swish_table, multiply
from mobilenets.quant.observe import mean_taps, weigh
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.quant.scheme import HIGH, LOW, QuantModel, QuantParams
from mobilenets.runtime.activations import open_activations
from mobilenets.training import qat
from mobilenets.training.fake_quantize import _WITHOUT_WEIGHTS, _Requantise
from mobilenets.training.module import MobileNet, load_weights
from mobilenets.training.qat import (
    attach,
    calibrated,
    more_epochs,
    read_activations,
    to_model,
    write_activations,
)

TINY = Network(stem=8, blocks=(Block(1, 12), Block(2, 16)), height=32, width=40, classes=5)
INVERTED = (
    Block(1, 8, expansion=24, residual=True, activation="relu"),
    Block(2, 16, kernel=5, expansion=24, gate=8),
    Block(1, 16, expansion=48, gate=8, residual=True),
)


def quantised(random_model, network: Network, **preprocess):  # type: ignore[no-untyped-def]
    """(module in integers, the int8 network, images, what the module takes of them)."""
    model = random_model(network)
    if preprocess:
        import dataclasses

        model = dataclasses.replace(model, preprocess=Preprocess(network.height, network.width, 3, **preprocess))
    shape = (6, network.height, network.width, network.channels)
    noise = np.random.default_rng(0).integers(0, 256, shape)
    images = (noise * np.linspace(0.1, 1, 6)[:, None, None, None]).astype(np.uint8)  # darker and lighter ones
    module = MobileNet(expand(network))
    load_weights(module, model.weights)
    activations, model = calibrated(model, images)
    load_weights(module, model.weights)
    attach(module, activations, model.preprocess)
    x = torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)
    return module, to_model(module, activations, model), images, x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("network", "preprocess"),
    [
        (TINY, {}),
        (TINY.replace(activation="relu6", padding="same", head=16), {"mean": 0.0, "std": 255.0}),
        (TINY.replace(channels=1, padding="keras"), {}),
        (TINY, {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}),
        (TINY.replace(convolution="full"), {}),
        (TINY.replace(blocks=INVERTED, activation="hard_swish"), {}),
        (TINY.replace(blocks=INVERTED, activation="relu6", padding="same"), {"mean": 0.0, "std": 255.0}),
    ],
    ids=["relu", "relu6", "grey", "a mean for each channel", "full", "inverted, hard swish", "inverted, relu6"],
)
def test_every_logit_is_that_of_the_int8_network(random_model, network, preprocess, training) -> None:
    module, integers, images, x = quantised(random_model, network, **preprocess)
    found = module.train(training)(x).detach().numpy()
    expected = integers.activations["fc"].real(reference.run(integers, images))
    assert (found == expected).all()
    assert len(np.unique(found)) > 10


@pytest.mark.parametrize("network", [TINY, TINY.replace(blocks=INVERTED, activation="hard_swish")])
def test_gradients_reach_every_parameter(random_model, network: Network) -> None:
    module, _, _, x = quantised(random_model, network)
    module.train()(x).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("blocks", [TINY.blocks, INVERTED])
def test_gradients_are_nearly_those_of_the_float_network(random_model, blocks: tuple[Block, ...]) -> None:
    """Of the float network with its batch norms frozen."""
    network = TINY.replace(blocks=blocks, activation="relu" if blocks is TINY.blocks else "hard_swish")
    module, _, _, x = quantised(random_model, network)
    floats = MobileNet(expand(network))
    floats.load_state_dict(module.state_dict())
    for each in (module, floats.eval()):
        each(x)[:, 0].sum().backward()
    ours, theirs = (dict(m.named_parameters())["pw2.weight"].grad.flatten() for m in (module, floats))
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > (0.95 if blocks is TINY.blocks else 0.85)
    assert ours.norm() == pytest.approx(float(theirs.norm()), rel=0.2)


PARAMS = QuantParams(0.05, -30), QuantParams(1 / 256, LOW)
ELEMENTWISE = {  # kind -> float function, what the oracle computes, scale and zero point of the result
    "add": (lambda x, y: x + y, lambda x, y, to: add(x, y, PARAMS, to, LOW, HIGH), QuantParams(0.06, 5)),
    "multiply": (lambda x, y: x * y, lambda x, y, to: multiply(x, y, PARAMS, to), QuantParams(0.04, -20)),
    "hard_swish": (
        lambda x, y: torch.nn.functional.hardswish(x) + 0 * y,
        lambda x, y, to: hard_swish_table(PARAMS[0], to)[x.astype(np.int16) - LOW],
        QuantParams(0.03, -115),
    ),
}


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_elementwise_ops_are_the_oracles_and_their_gradients_those_of_floats(kind: str) -> None:
    """Where the result is not cut off; all pairs of 64 integers each."""
    function, oracle, target = ELEMENTWISE[kind]
    q = np.arange(LOW, HIGH + 1, 4, dtype=np.int8)
    both = [grid.ravel() for grid in np.meshgrid(q, q)]
    inputs = [
        torch.tensor(grid.astype(np.float32) - affine.zero_point, requires_grad=True)
        for grid, affine in zip(both, PARAMS, strict=True)
    ]
    count = 1 if kind == "hard_swish" else 2
    layer = Layer(Op(kind, "op", (0,) * count, (1, 1, 1), (1, 1, 1)), None, None, (0,) * count)
    found = _WITHOUT_WEIGHTS[kind](layer, inputs[:count], PARAMS[:count], target)
    expected = oracle(*both, target).astype(np.float32)
    np.testing.assert_array_equal(found.detach().numpy() + target.zero_point, expected)
    found.sum().backward()
    reals = [(x.detach() * affine.scale).requires_grad_() for x, affine in zip(inputs, PARAMS, strict=True)]
    function(*reals).sum().backward()
    inside = (expected > LOW) & (expected < HIGH)
    assert 0.3 < inside.mean() < 1
    for x, real, affine in list(zip(inputs, reals, PARAMS, strict=True))[:count]:
        assert x.grad is not None and real.grad is not None
        wanted = real.grad.numpy() * affine.scale / target.scale
        np.testing.assert_allclose(x.grad.numpy()[inside], wanted[inside], rtol=1e-3, atol=1e-4)
    cut = expected == HIGH
    assert count == 1 or (inputs[0].grad.numpy()[cut] == 0).mean() > 0.9


def test_batch_norm_statistics_stay(random_model) -> None:
    module, _, _, x = quantised(random_model, TINY)
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    module.train()(x)
    assert all((buffer == before[name]).all() for name, buffer in module.named_buffers())


def test_learning_in_integers_lowers_the_loss(random_model) -> None:
    module, _, _, x = quantised(random_model, TINY)
    targets = torch.arange(6) % 5
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(module.train()(x), targets)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_a_fifth_more_epochs_learn_in_integers() -> None:
    assert [more_epochs(epochs) for epochs in (1, 2, 5, 10, 100)] == [1, 1, 1, 2, 20]


@pytest.mark.slow
def test_a_run_ends_with_the_int8_model_that_it_validated(photos, tmp_path) -> None:
    from mobilenets import train
    from mobilenets.data.sources import open_dataset
    from mobilenets.image import prepare
    from mobilenets.progress import Watch
    from mobilenets.quant.file import load
    from mobilenets.training.recipe import Recipe

    class Kept(Watch):
        notes: tuple[str, ...] = ()

        def note(self, text: str) -> None:
            self.notes += (text,)

    recipe, kept = Recipe(epochs=3, batch_size=24, quantize=True, replicas=1), Kept()
    trained = train(photos, TINY.replace(width=32), recipe, project=tmp_path, watch=kept)
    integers = load(trained.run / "best.int8.safetensors")
    val = open_dataset(photos).splits["val"]
    images = np.stack([prepare(sample.read(), integers.preprocess) for sample in val])
    found = reference.run(integers, images).argmax(axis=1)
    right = (found == [sample.target for sample in val]).mean()
    before = next(note for note in kept.notes if note.startswith("int8 before it: val top-1"))
    last = (trained.run / "results.csv").read_text().splitlines()[-1].split(",")
    header = (trained.run / "results.csv").read_text().splitlines()[0].split(",")
    scores = float(before.split()[-1].rstrip("%")) / 100, float(last[header.index("val_top1")])
    assert right == pytest.approx(max(scores), abs=1e-4)  # of its start and its one epoch
    assert trained.int8 is not None and trained.int8.integers.result.score == pytest.approx(right)
    assert "Float and int8" in trained.report.read_text()


@pytest.mark.slow
def test_the_network_before_it_is_kept_where_no_epoch_is_better(photos, tmp_path, monkeypatch) -> None:
    from mobilenets import train
    from mobilenets.quant.file import load

    monkeypatch.setattr(qat, "RATE", 1e4)  # at which the epoch ruins the network
    small = TINY.replace(blocks=TINY.blocks[:1])
    trained = train(photos, small, {"epochs": 1, "batch_size": 24, "quantize": True, "replicas": 1}, project=tmp_path)
    integers, floats = (load(trained.run / name) for name in ("best.int8.safetensors", "best.safetensors"))
    for name, layer in integers.layers.items():
        if name != "conv0":  # which has the normalisation in it
            back = layer.weight.reshape(len(layer.weight), -1) * layer.scale[:, None]
            own = fold_batch_norm(floats.graph, floats.weights)[1][f"{name}.weight"].reshape(back.shape)
            assert np.abs(back - own).max() < 0.01 * np.abs(own).max()


def test_what_cannot_be_meant_together_is_refused() -> None:
    from mobilenets.errors import UsageError
    from mobilenets.training.recipe import Recipe

    with pytest.raises(UsageError, match="leave out freeze and patience"):
        Recipe(quantize=True, patience=3)


def small_model(random_model, network: Network = TINY) -> Model:  # type: ignore[no-untyped-def]
    """With figures and labels of its own."""
    made = random_model(network)
    return replace(made, head_config={"a": 1}, metrics={"top1": 0.5}, data={"train": 7})


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, TINY.height, TINY.width, 3)).astype(np.uint8)


def float_sums(model: Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """The mean of each channel before its activation, in the float network."""
    module, found = MobileNet(expand(model.network)), {}
    load_weights(module, model.weights)
    for name, layer in module.eval().double().named_modules():
        if name.endswith("_bn") or name == "fc":
            key = name.removesuffix("_bn")
            layer.register_forward_hook(
                lambda _m, _i, out, key=key: found.update({key: out.transpose(0, 1).flatten(1).mean(1).numpy()})
            )
    with torch.no_grad():
        module(torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2).double())
    return found


def integer_sums(model: QuantModel, images: np.ndarray) -> dict[str, np.ndarray]:
    """The same of the int8 network, and how far one step of a bias moves it."""
    found, x = {}, reference.from_pixels(images)
    sources, outputs = model.sources(), dict(reference.steps(model, images))
    for op in model.graph.ops[1:]:
        if op.name in model.layers:
            layer, unit = model.layers[op.name], np.float64(sources[op.name][0].scale) * model.layers[op.name].scale
            taken = x.astype(np.float64) - sources[op.name][0].zero_point
            sums = weigh(op, layer.weight, mean_taps(op, taken)) + layer.bias
            found[op.name] = sums * unit, unit
        x = outputs.get(op.name, x)
    return found


@pytest.mark.parametrize("convolution", ["separable", "full"])
def test_calibration_takes_back_how_rounding_shifts_the_mean_of_every_sum(random_model, convolution: str) -> None:
    """To within the step in which a bias is rounded; as rounding leaves it the means are many steps off."""
    model = small_model(random_model, TINY.replace(convolution=convolution))
    images = noise(6)
    wanted = float_sums(model, images)
    activations, corrected = calibrated(model, images)
    after = [integer_sums(int8_of(each, activations), images) for each in (corrected, model)]
    errors = [
        np.concatenate([np.abs(means - wanted[name]) / unit for name, (means, unit) in sums.items()]) for sums in after
    ]
    assert errors[0].max() < 1.6 and np.quantile(errors[1], 0.5) > 5
    assert all(np.array_equal(corrected.weights[n], a) for n, a in model.weights.items() if not n.endswith("bias"))


def test_biases_are_corrected_on_images_of_all_classes(random_model, monkeypatch) -> None:
    """A data set comes in the order of its classes."""
    seen = []
    monkeypatch.setattr(qat, "correct_biases", lambda model, wanted, images: seen.append(images) or model)
    images = np.arange(200, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 32, 40, 3), np.uint8)
    calibrated(small_model(random_model), images)
    assert 64 <= len(seen[0]) < 200 and seen[0].min() == 0 and seen[0].max() > 190


def int8_of(model: Model, activations: dict[str, QuantParams]) -> QuantModel:
    module = MobileNet(expand(model.network))
    load_weights(module, model.weights)
    return to_model(module, activations, model)


def test_the_largest_values_are_cut_off_where_the_rest_gains_by_it(random_model) -> None:
    """A few white pixels on dark images: the first layer's range is not all that it gives."""
    images = noise(6) // 16
    images[:, 3, 3] = 255
    model = small_model(random_model)
    module = MobileNet(expand(TINY))
    load_weights(module, model.weights)
    with torch.no_grad():
        x = torch.from_numpy(normalise(images, model.preprocess)).permute(0, 3, 1, 2)
        largest = module.eval().conv0_bn(module.conv0(x)).max().item()
    top = calibrated(model, images)[0]["conv0"].real(np.array(HIGH, np.int8))
    assert 0.8 * largest < top < 0.995 * largest


def test_ranges_are_by_the_rule_that_agrees_best_with_the_float_network(random_model) -> None:
    model, images = small_model(random_model), noise(16)
    wanted = quantize(model, images, open_activations, Choices(equalised=False, corrected=False))
    assert calibrated(model, images)[0] == wanted.model.activations
    others = [quantize(model, images, open_activations, Choices(rule, False, False)).model for rule in RULES]
    assert len({other.digest() for other in others}) == len(RULES)


@pytest.mark.parametrize("blocks", [TINY.blocks, INVERTED])
def test_the_integers_of_a_layer_are_those_that_quantising_the_network_gives(random_model, blocks) -> None:
    """Of channels that are next to dead, or have a heavy bias, too; and all that a model says of itself stays."""
    model = small_model(random_model, TINY.replace(blocks=blocks))
    activations, _ = calibrated(model, noise(6))
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["pw1.weight"][0] = 0
    weights["pw1.weight"][1] *= 1e-9
    weights["pw2_bn.bias"][:2] = 1e6, -1e6
    model = replace(model, weights=weights)
    found = int8_of(model, activations)
    ranges = {n: tuple(a.real(np.array([LOW, HIGH], np.int8)).tolist()) for n, a in activations.items()}
    expected = to_integers(model, ranges)
    for name, layer in found.layers.items():
        other = expected.layers[name]
        np.testing.assert_allclose(layer.scale, other.scale, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(layer.weight, other.weight, atol=1, err_msg=name)
        np.testing.assert_allclose(layer.bias, other.bias, atol=1, rtol=1e-5, err_msg=name)
        assert (layer.weight != other.weight).mean() < 0.01
    for field in ("network", "preprocess", "labels", "task", "head_config", "metrics", "data"):
        assert getattr(found, field) == getattr(model, field)
    assert found.activations == activations


def test_colours_between_and_beyond_those_of_pixels_are_rounded_to_them(random_model) -> None:
    """What augmentation makes of an image is seen as the int8 network would see it."""
    module, integers, images, x = quantised(random_model, TINY)
    shift = torch.empty_like(x).uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(0))
    changed = (x + shift) * 127.5 + 127.5
    changed[(changed - changed.round()).abs() > 0.49] = 300.0  # not next to a half: fp32 would decide; and past white
    pixels = changed.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    with torch.no_grad():
        found = module((changed - 127.5) / 127.5).numpy()
    assert (changed < 0).any() and not np.array_equal(pixels, images)
    assert np.array_equal(found, integers.activations["fc"].real(reference.run(integers, pixels)))


def test_rounding_passes_gradients_on_and_what_is_cut_off_gets_none() -> None:
    sums = torch.tensor([-300.0, -256.0, -7.0, 3.0, 200.0, 254.0, 300.0], requires_grad=True)
    out = _Requantise.apply(sums, torch.tensor(0.5), -128, 127)
    assert out.tolist() == [-128, -128, -4, 2, 100, 127, 127]  # halves to even
    (out * torch.arange(1.0, 8.0)).sum().backward()
    assert sums.grad is not None and sums.grad.tolist() == [0, 1, 1.5, 2, 2.5, 3, 0]


def test_activations_are_read_as_they_were_written(tmp_path) -> None:
    activations = {"image": QuantParams(1 / 127.5, 0), "fc": QuantParams(0.1, -128)}
    path = tmp_path / "activations.json"
    write_activations(path, activations)
    assert read_activations(path) == activations
    for text in ("[]", "{", '{"fc": 1}', '{"fc": [1]}'):
        path.write_text(text)
        with pytest.raises(TrainingError, match="cannot be resumed without it"):
            read_activations(path)
    path.unlink()
    with pytest.raises(TrainingError, match="cannot be resumed without it"):
        read_activations(path)
