"""Plans and results of sweeps that were never trained."""

import math
from collections.abc import Iterator
from dataclasses import replace

from mobilenets.arch import Network
from mobilenets.costs import cost
from mobilenets.costs.peers import PeerName
from mobilenets.image import Preprocess
from mobilenets.sweeps import Row, SweepPlan, Trial, paper_networks
from mobilenets.training.recipe import Recipe
from mobilenets.training.run import Settings

SIZES = (64, 56, 48, 40)


def trial(network: Network, seed: int = 0, epochs: int = 8) -> Trial:
    settings = Settings("data", network, Preprocess(network.height, network.width), Recipe(epochs=epochs, seed=seed))
    return Trial(f"{network.name}-seed{seed}", settings)


def peer_trial(peer: PeerName, side: int = 64) -> Trial:
    one = trial(Network(height=side, width=side, classes=10))
    settings = replace(one.settings, peer=peer)
    return Trial(f"{settings.name}-seed0", settings)


def peer_rows(top1: dict[PeerName, float]) -> Iterator[Row]:
    """Results of peers at 64 px, without their counts, which take torch."""
    for peer, rate in top1.items():
        yield Row(
            trial=f"{peer}-64-seed0",
            network=f"{peer}-64",
            family=peer,
            variant="peer",
            alpha=1.0,
            height=64,
            width=64,
            seed=0,
            state="done",
            epochs=8,
            mult_adds=50_000_000,
            params=1_000_000,
            val_top1=rate,
            top1=rate,
            split="test",
            seconds=60,
        )


def paper_plan() -> SweepPlan:
    networks = paper_networks(Network(classes=10), SIZES)
    trials = [trial(network, seed) for network, seeds in networks.items() for seed in range(seeds)]
    return SweepPlan("data", "0" * 64, tuple(trials), command="mobilenets sweep data --paper")


def rows_of(plan: SweepPlan) -> Iterator[Row]:
    """Results on a log-linear law of 10 points per factor 10; full convolutions are 1 point, shallow 2 points off."""
    for one in plan.trials:
        network, costs = one.settings.network, cost(one.settings.network)
        variant = "conv" if network.convolution == "full" else "shallow" if "shallow" in network.name else "plain"
        top1 = 0.6 + 0.1 * math.log10(costs.mult_adds / 1e6) + 0.002 * one.settings.recipe.seed
        top1 = {"plain": top1, "conv": 0.79, "shallow": top1 - 0.02}[variant]
        yield Row(
            trial=one.name,
            network=network.name,
            family="",
            variant=variant,
            alpha=network.alpha,
            height=network.height,
            width=network.width,
            seed=one.settings.recipe.seed,
            state="done",
            epochs=8,
            mult_adds=costs.mult_adds,
            params=costs.params,
            val_top1=top1,
            top1=top1,
            split="test",
            seconds=60,
            latency_ms=costs.mult_adds / 2e7,
            arena=costs.peak_ram("fp32"),
            int8_top1=top1 - 0.005,
            int8_latency_ms=costs.mult_adds / 4e7,
            int8_arena=costs.peak_ram("int8"),
            weights_sha256="0" * 64,
        )
