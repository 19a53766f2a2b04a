"""A plain fine-tuning loop, the peer of `recipes.py`: timm's network, transforms and averaged weights, AdamW, a cosine.

    python benchmarks/recipe_loop.py SET --width 0.25 --size 128 [--weights FILE] [--epochs 20] [--seed 0]

Prints one JSON object: top-1 of the last epoch on SET/val, and the mean training loss of the last epoch.
"""

import argparse
import json
import math

import torch
from peer_network import peer_network
from timm.data import create_transform
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

RANGE = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # what the trained weights take
WARMUP = 0.15  # of all steps: three epochs of twenty


def loaders(folder: str, size: int, batch: int) -> tuple[DataLoader, DataLoader]:
    views = {"scale": (0.35, 1.0), "color_jitter": 0.4, "interpolation": "random"}
    train = create_transform(size, is_training=True, **views, **RANGE)
    val = create_transform(size, crop_pct=0.875, interpolation="bilinear", **RANGE)
    return (
        DataLoader(ImageFolder(f"{folder}/train", train), batch, shuffle=True, drop_last=True, num_workers=2),
        DataLoader(ImageFolder(f"{folder}/val", val), 128, num_workers=2),
    )


def rate(step: int, steps: int, peak: float) -> float:
    warmup = int(steps * WARMUP)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


@torch.no_grad()
def accuracy(model: nn.Module, batches: DataLoader) -> float:
    model.eval()
    right = [(model(x.to(memory_format=torch.channels_last)).argmax(1) == y).float() for x, y in batches]
    return torch.cat(right).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--width", type=float, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    train, val = loaders(arguments.folder, arguments.size, arguments.batch_size)
    model = peer_network(arguments.width, len(train.dataset.classes), arguments.weights)
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), arguments.lr, weight_decay=0.05)
    ema = ModelEmaV3(model, decay=0.998, use_warmup=True)
    steps, step, losses = arguments.epochs * len(train), 0, []
    for _ in range(arguments.epochs):
        model.train()
        losses = []
        for x, y in train:
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps, arguments.lr)
            loss = nn.functional.cross_entropy(model(x.to(memory_format=torch.channels_last)), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            ema.update(model, step)
            losses.append(loss.item())
    print(json.dumps({"top1": accuracy(ema.module, val), "train_loss": sum(losses) / len(losses)}))


if __name__ == "__main__":
    main()
