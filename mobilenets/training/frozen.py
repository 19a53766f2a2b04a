"""Fine-tuning of the classifier alone: features are computed once, and a logistic regression is fitted to them."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ..arrays import Floats
from ..data.augment import Augmentation, random_view
from ..data.cache import Images
from ..data.parallel import ordered
from ..data.sources import Dataset
from ..exporters.onnx import to_onnx
from ..image import Pixels, Preprocess, as_image, crop_resize
from ..model import Model, load
from ..progress import Watch
from ..runtime import Session
from ..tasks.classify import Classify
from .images import check, decode
from .interrupt import Interrupts
from .run import Run

__all__ = ["fit_frozen"]

BATCH = 128
RANDOM_VIEWS = 6  # of each image, besides the central one and its mirror image
STRENGTHS = (
    0.0003,
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
)  # inverse regularisation (C), chosen on a fifth of the images
HELD_OUT = 5

Labels = np.ndarray[Any, np.dtype[np.int64]]


View = Callable[[int], Pixels]


def fit_frozen(dataset: Dataset, run: Run, watch: Watch | None = None) -> Model:
    """Return the trained network of `run.initial` with a classifier for the data set.

    Raises the errors of `fit`.
    """
    watch, settings = watch or Watch(), run.settings
    recipe, preprocess = settings.recipe, settings.preprocess
    augmentation = Augmentation(recipe.strength(settings.network.alpha), recipe.flip)
    side = augmentation.short_side(preprocess.height, preprocess.width)
    with Interrupts() as interrupts:
        train = decode(dataset, "train", settings, watch, interrupts, side)
        val = decode(dataset, "val", settings, watch, interrupts, None)
    task = settings.task
    assert isinstance(task, Classify)
    check(task, dataset, train, val)
    started = time.monotonic()
    trained = load(run.initial, body=True)
    views = _views(train, preprocess, augmentation, recipe.seed)
    body = _body(trained)
    seen = [_features(body, view, len(train), watch, i, len(views)) for i, view in enumerate(views)]
    val_features = _features(body, val.pixels, len(val))
    speed = len(views) * len(train) / (time.monotonic() - started)
    with threadpool_limits(1):  # the matrices are small: BLAS threads would mostly wait
        balance = "loss" if recipe.balance != "none" else "none"
        counts = task.weights(train.targets, dataset.labels, balance)
        weight, bias = _classifier(seen, train.targets, counts)
    _, train_loss = _evaluated(seen[0] @ weight.T + bias, train.targets)
    top1, loss = _evaluated(val_features @ weight.T + bias, val.targets)
    row = {
        "epoch": 1,
        "lr": 0.0,
        "train_loss": train_loss,
        "val_loss": loss,
        "val_top1": top1,
        "images_per_second": speed,
        "seconds": time.monotonic() - started,
    }
    run.write_results([row])
    watch.epoch(row)
    data = {"fingerprint": dataset.fingerprint, "train": len(train), "val": len(val)}
    model = run.model({**trained.weights, "fc.weight": weight, "fc.bias": bias}, dataset.labels, data, top1)
    model.save(run.last)
    model.save(run.best)
    return model


def _views(images: Images, preprocess: Preprocess, how: Augmentation, seed: int) -> list[View]:
    """Return the views of every image: the central crop, its mirror image, and random crops."""

    def centre(i: int) -> Pixels:
        """Return the central crop of image `i`."""
        return crop_resize(as_image(images.pixels(i)), preprocess)

    def crop(number: int, i: int) -> Pixels:
        """Return a random crop of image `i`."""
        return random_view(images.pixels(i), preprocess, how, np.random.default_rng((seed, number, i)))

    mirrored: list[View] = [lambda i: centre(i)[:, ::-1]] if how.flip else []
    return [centre, *mirrored, *(partial(crop, number) for number in range(RANDOM_VIEWS))]


def _body(model: Model) -> Session:
    """Return a session of the network with an identity classifier: its logits are the features."""
    channels = model.weights["fc.weight"].shape[1]
    same = {"fc.weight": np.eye(channels, dtype=np.float32), "fc.bias": np.zeros(channels, np.float32)}
    labels = tuple(map(str, range(channels)))
    network = model.network.replace(classes=channels)
    return Session.from_onnx(to_onnx(replace(model, network=network, weights={**model.weights, **same}, labels=labels)))


def _features(
    body: Session, view: View, count: int, watch: Watch | None = None, done: int = 0, views: int = 1
) -> Floats:
    """Return the features (count, channels) of one view."""
    parts: list[Floats] = []
    pixels = ordered(view, range(count))
    started = time.monotonic()
    while batch := list(islice(pixels, BATCH)):
        parts.append(body.logits(np.stack(batch)))
        if watch:
            speed = len(parts) * BATCH / (time.monotonic() - started)
            watch.step(done, views, len(parts), -(-count // BATCH), speed)
    return np.concatenate(parts)


def _classifier(seen: list[Floats], labels: Labels, counts: Floats | None) -> tuple[Floats, Floats]:
    """Return (weight (classes, channels), bias) of a logistic regression; its strength is chosen on held-out images.

    `counts` are weights per class.
    """
    held = np.arange(len(labels)) % HELD_OUT == 0
    least, strength = np.inf, STRENGTHS[2]
    if len(set(labels[~held])) == len(set(labels)):
        for c in STRENGTHS:
            weight, bias = _regression([part[~held] for part in seen], labels[~held], c, counts)
            _, loss = _evaluated(seen[0][held] @ weight.T + bias, labels[held])  # less noisy than top-1 on few images
            if loss < least:
                least, strength = loss, c
    return _regression(seen, labels, strength, counts)


def _regression(seen: list[Floats], labels: Labels, strength: float, counts: Floats | None) -> tuple[Floats, Floats]:
    x = np.concatenate(seen)
    mean, scale = x.mean(0), x.std(0) + 1e-3
    weights = None if counts is None else dict(enumerate(counts.tolist()))
    fitted = LogisticRegression(C=strength, max_iter=500, class_weight=weights)
    fitted.fit((x - mean) / scale, np.tile(labels, len(seen)))
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # two classes: scikit-learn gives the log odds of the second
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / scale
    return weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)


def _evaluated(logits: Floats, labels: Labels) -> tuple[float, float]:
    """Return (top-1, mean cross-entropy)."""
    shifted = logits - logits.max(1, keepdims=True)
    likelihood = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    truth = likelihood[np.arange(len(labels)), labels]
    return float((logits.argmax(1) == labels).mean()), float(-truth.mean())
