"""`Recipe`: every default of training with its reason. Flags, saved settings and docs/recipe.md derive from it."""

import math
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from ..errors import UsageError

__all__ = [
    "EPOCHS",
    "FEW_STEPS",
    "FINE_TUNING_LR",
    "LAYER_DECAY",
    "LEARNING_RATE",
    "PEER_LR",
    "Balance",
    "Optimizer",
    "Precision",
    "Recipe",
]

Optimizer = Literal["adamw", "sgd", "rmsprop"]
Balance = Literal["none", "sample", "loss"]
Precision = Literal["auto", "fp32", "bf16"]

# peak rates at batch size 64; they scale with the square root of the batch size (Adam, RMSprop) or linearly (SGD)
LEARNING_RATE: dict[str, float] = {"adamw": 1e-2, "sgd": 0.1, "rmsprop": 2e-3}


EPOCHS = (100, 20)  # from scratch, fine-tuning
FINE_TUNING_LR = 0.2  # of the peak rate from scratch: larger rates lose what the network has learned
# fine-tuning in fewer steps takes a larger rate, at most twice as large, and weaker augmentation: a few hundred photos
# in 20 epochs learn too little otherwise (docs/benchmarks.md)
FEW_STEPS = 200
FEW_STEPS_AUGMENT = 0.8
# of the peak rate, for the paper's other networks that have no batch norm: at the whole rate SqueezeNet's logits all
# become zero and stay so
PEER_LR = 0.02
LAYER_DECAY = 0.85  # fine-tuning: early layers detect edges and colours, which need to change less


DEVICES = r"auto|cpu|cuda(:\d{1,3})?|mps"
_WHOLE = ("epochs", "batch_size", "replicas", "workers", "seed", "patience")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a training run. Raises `UsageError` for values out of range."""

    epochs: int | None = None
    """Passes over the training images; by default 100 from scratch (flowers improves little after), 20 fine-tuning."""
    batch_size: int = 64
    """Images per step. Two cores process 32 each, enough for batch-norm statistics."""
    opt: Optimizer = "adamw"
    """Optimiser: adamw (measured best from scratch), sgd (momentum 0.9), rmsprop (the paper's)."""
    lr: float | None = None
    """Peak learning rate; by default it depends on the optimiser and the batch size, a fifth of that fine-tuning, up to
    two fifths in less than 200 steps."""
    layer_decay: float | None = None
    """Learning rate of each block as a fraction of that of the next; by default 1 from scratch, 0.85 fine-tuning."""
    freeze: bool = False
    """Fine-tuning: train only the classifier, on features that are computed once."""
    quantize: bool = False
    """Add a fifth of the epochs as quantization-aware training, from the best float model; both models are saved."""
    weight_decay: float = 0.05
    """Weight decay; not applied to depthwise filters (nine weights overfit little: paper, 3.2), batch norm and bias."""
    warmup_epochs: float = 3.0
    """Epochs of linear warm-up before the cosine, at most half of all: the first batch-norm statistics are poor."""
    smoothing: float = 0.0
    """Label smoothing: off, as in the paper; small networks underfit."""
    augment: float | None = None
    """Strength of crops and colour changes, 0 to 1; by default it grows with alpha from scratch (it harms the smallest
    networks), and is 1 fine-tuning (a pretrained network overfits small data sets), to 0.8 in less than 200 steps."""
    flip: bool = True
    """Mirror half of the images left to right; switch it off where orientation matters (text, signs)."""
    ema: float = 0.998
    """Decay per step of the averaged weights (EMA) that are evaluated and saved; 0 disables averaging."""
    balance: Balance = "none"
    """Unbalanced classes: sample (draw rare classes more often) or loss (give them larger weights)."""
    patience: int | None = None
    """Stop after this number of epochs without a better validation top-1."""
    max_bad: float = 0.01
    """Fraction of images that may be undecodable or have two labels before the run fails; all are listed."""
    precision: Precision = "auto"
    """Arithmetic: auto is bf16 autocast where the processor or GPU supports it, else fp32. Weights are always fp32."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:N, mps."""
    replicas: int = 0
    """Threads that each process a part of every batch (CPU); 0: one per core, at least 32 images each."""
    workers: int = 0
    """Threads that decode and augment; 0: one per core."""
    seed: int = 0
    """Determines initial weights, order and augmentation: on one machine the same seed gives the same run."""

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, float, float], ...] = (
            ("epochs", 1, 100_000),
            ("batch_size", 2, 65_536),
            ("weight_decay", 0, 10),
            ("warmup_epochs", 0, 100_000),
            ("smoothing", 0, 0.9),
            ("ema", 0, 0.999999),
            ("max_bad", 0, 1),
            ("replicas", 0, 1024),
            ("workers", 0, 1024),
            ("seed", 0, 2**32 - 1),
            ("lr", 1e-9, 100),
            ("layer_decay", 0.01, 1),
            ("augment", 0, 1),
            ("patience", 1, 100_000),
        )
        for name, low, high in ranges:
            if getattr(self, name) is not None:
                _check_range(name, getattr(self, name), low, high, whole=name in _WHOLE)
        if not re.fullmatch(DEVICES, self.device):
            raise UsageError(f"device (={self.device!r}) must be auto, cpu, cuda, cuda:N or mps")
        if self.quantize and (self.freeze or self.patience):
            raise UsageError("quantize trains the whole network to the last epoch: leave out freeze and patience")
        for name, choices in (("opt", Optimizer), ("balance", Balance), ("precision", Precision)):
            if getattr(self, name) not in get_args(choices):
                raise UsageError(f"{name} (={getattr(self, name)!r}) must be one of {', '.join(get_args(choices))}")

    def check(self, fine_tuning: bool) -> None:
        """Raise `UsageError` for settings that contradict each other or would have no effect in a new run."""
        if self.freeze and not fine_tuning:
            raise UsageError("freeze (=True) needs a pretrained network, whose classifier it trains")
        given = {name: getattr(self, name) for name in _OF_EPOCHS}
        idle = [f"{name} (={value!r})" for name, value in given.items() if value != getattr(_DEFAULT, name)]
        if self.freeze and idle:
            raise UsageError(f"freeze fits the classifier at once, without epochs: leave out {', '.join(idle)}")
        epochs = self.epochs or EPOCHS[fine_tuning]
        if self.warmup_epochs > epochs and self.warmup_epochs != _DEFAULT.warmup_epochs:
            raise UsageError(f"warmup_epochs (={self.warmup_epochs:g}) must be at most the {epochs} epochs")

    def settled(self, alpha: float, tuned_on: int = 0) -> "Recipe":
        """Return the recipe with the defaults of epochs, learning rates and augmentation for width `alpha` set.

        `tuned_on`: the training images of fine-tuning, which determine the number of steps; 0: from scratch.
        """
        fine_tuning = tuned_on > 0
        ratio = self.batch_size / 64
        peak = LEARNING_RATE[self.opt] * (ratio if self.opt == "sgd" else ratio**0.5)
        epochs = self.epochs or EPOCHS[fine_tuning]
        augment = self.strength(alpha)
        if fine_tuning:
            few = min(1.0, max(0.0, FEW_STEPS / (epochs * math.ceil(tuned_on / self.batch_size)) - 1))
            peak *= FINE_TUNING_LR * (1 + few)
            augment = 1 + few * (FEW_STEPS_AUGMENT - 1) if self.augment is None else self.augment
        return replace(
            self,
            epochs=epochs,
            lr=self.lr or peak,
            layer_decay=self.layer_decay or (LAYER_DECAY if fine_tuning else 1.0),
            augment=augment,
        )

    def strength(self, alpha: float) -> float:
        """Return the augmentation strength, 0 to 1, for a network of width `alpha` that is trained from scratch."""
        return min(1.0, 0.4 + 0.6 * alpha) if self.augment is None else self.augment

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as JSON takes them."""
        return asdict(self)


def _check_range(name: str, value: Any, low: float, high: float, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise UsageError(f"{name} (={value!r}) must be a {'whole ' if whole else ''}number")
    if not low <= value <= high:
        raise UsageError(f"{name} (={value!r}) must be from {low:g} to {high:g}")


_DEFAULT = Recipe()
_OF_EPOCHS = ("epochs", "batch_size", "opt", "lr", "layer_decay", "weight_decay", "warmup_epochs", "smoothing", "ema")
