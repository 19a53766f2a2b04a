"""From what a sweep shall train to its trials with every open setting decided, and what fits in a given time."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..arch.network import Network
from ..costs.peers import LEAST_SIDE, PEERS
from ..errors import UsageError
from ..machine import cores, need_torchvision
from ..progress import Watch
from ..report.text import duration
from ..sweeps import LeftOut, SweepPlan, Trial, rungs_of, share_of_work
from ..training.logs import check_log
from ..training.recipe import PEER_LR, Recipe
from .arguments import AnyPreprocess
from .request import Request

if TYPE_CHECKING:
    from ..data.sources import Dataset

__all__ = ["Wanted", "jobs_for", "planned"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a sweep shall train: networks, each with its number of seeds, under one recipe."""

    networks: tuple[tuple[Network, int], ...]
    recipe: Recipe
    preprocess: AnyPreprocess
    halving: bool = False
    by_cost: bool = True
    seconds: float | None = None  # what the trials may take
    jobs: int = 0
    command: str = ""
    log: str | None = None
    peers: bool = False  # whether the paper's other networks are trained as well

    def __post_init__(self) -> None:
        if not self.networks:
            raise UsageError("a sweep needs at least one network")
        for _, seeds in self.networks:
            if seeds < 1:
                raise UsageError(f"seeds (={seeds}) must be at least 1")
        if not 0 <= self.jobs <= cores():
            raise UsageError(f"jobs (={self.jobs}) must be from 1 to this machine's {cores()} cores, or 0 to choose")
        if self.log is not None:
            check_log(self.log)
        if self.peers:
            need_torchvision()
            if min(self.largest) < LEAST_SIDE:
                size = "x".join(map(str, self.largest))
                raise UsageError(f"peers need images of at least {LEAST_SIDE} px, the largest are {size}")
        if self.recipe.quantize:
            raise UsageError("quantize: a sweep quantizes every network after its training, leave it out")

    @property
    def largest(self) -> tuple[int, int]:
        """Return the largest input as (height, width), at which the peers are trained."""
        sizes = ((network.height, network.width) for network, _ in self.networks)
        return max(sizes, key=lambda size: size[0] * size[1])


def planned(wanted: Wanted, dataset: "Dataset", watch: Watch, timed: bool = False) -> SweepPlan:
    """Return the plan; with `timed`, or where a time is given, with the expected time of each trial."""
    trials = _trials(wanted, dataset, watch)
    epochs = trials[0].settings.recipe.epochs or 0
    plan = SweepPlan(
        data=str(dataset.root.absolute()),
        fingerprint=dataset.fingerprint,
        trials=tuple(trials),
        rungs=rungs_of(epochs) if wanted.halving else (),
        by_cost=wanted.by_cost,
        command=wanted.command,
    )
    if timed or wanted.seconds is not None:
        plan = _with_times(plan, dataset, watch)
    return plan if wanted.seconds is None else _within(plan, wanted.seconds, wanted.jobs)


def jobs_for(plan: SweepPlan, jobs: int) -> int:
    """Return how many trials run at a time: `jobs`, or one for the cores that each takes; one on a GPU."""
    recipes = [trial.settings.recipe for trial in plan.trials]
    if jobs or any(recipe.device != "cpu" for recipe in recipes):
        return jobs or 1
    return max(1, cores() // max(recipe.replicas for recipe in recipes))


def _trials(wanted: Wanted, dataset: "Dataset", watch: Watch) -> list[Trial]:
    """Return the trials: first all networks with the first seed, then those with a second, and so on."""
    made: dict[str, Trial] = {}
    for turn in range(max(seeds for _, seeds in wanted.networks)):
        for network in (network for network, seeds in wanted.networks if turn < seeds):
            recipe = replace(wanted.recipe, seed=wanted.recipe.seed + turn)
            asked = Request(dataset, network, recipe, None, None, (), None, None, wanted.preprocess, None)
            settings = asked.prepared(watch).settings
            name = f"{settings.network.name}-seed{recipe.seed}"
            if name in made:
                raise UsageError(f"network {settings.network.name} is given twice")
            made[name] = Trial(name, settings)
    if wanted.peers:
        made |= {trial.name: trial for trial in _peers(wanted, dataset, watch)}
    side = max(_stored_side(trial) for trial in made.values())
    return [
        Trial(name, replace(trial.settings, stored_side=side, command=wanted.command, log=wanted.log or ""))
        for name, trial in made.items()
    ]


def _peers(wanted: Wanted, dataset: "Dataset", watch: Watch) -> list[Trial]:
    """Return a trial of each of the paper's other networks, with the recipe of 1.0 MobileNet at the largest size."""
    height, width = wanted.largest
    recipe = replace(wanted.recipe, precision="fp32")
    network = Network(height=height, width=width)
    asked = Request(dataset, network, recipe, None, None, (), None, None, wanted.preprocess, None)
    settings = asked.prepared(watch).settings
    made = []
    for peer in PEERS.values():
        rate = (settings.recipe.lr or 0.0) * (1.0 if peer.batch_norm else PEER_LR)
        own = replace(settings, peer=peer.builder, recipe=replace(settings.recipe, lr=rate))
        made.append(Trial(f"{own.name}-seed{recipe.seed}", own))
    return made


def _stored_side(trial: Trial) -> int:
    """Return the short side of training images that the trial alone would keep: all trials share the largest."""
    from ..data.augment import Augmentation

    recipe, network = trial.settings.recipe, trial.settings.network
    return Augmentation(recipe.strength(network.alpha), recipe.flip).short_side(network.height, network.width)


def _with_times(plan: SweepPlan, dataset: "Dataset", watch: Watch) -> SweepPlan:
    """Return the plan with the expected time of each trial, measured once for each network."""
    from ..training.plan import plan as time_of

    seconds: dict[str, float | None] = {}
    for trial in plan.trials:
        name = trial.settings.name
        if name not in seconds:
            watch.measured("speed", len(seconds), len({other.settings.name for other in plan.trials}))
            seconds[name] = time_of(dataset, trial.settings, None).seconds
    trials = tuple(replace(trial, seconds=seconds[trial.settings.name]) for trial in plan.trials)
    return replace(plan, trials=trials)


def _within(plan: SweepPlan, limit: float, jobs: int) -> SweepPlan:
    """Return the plan without the trials that do not fit in `limit` seconds.

    Networks come before peers, and of each seed the cheapest first.
    """
    epochs = plan.trials[0].settings.recipe.epochs or 1
    share = share_of_work(plan.rungs, epochs)
    room, kept, out = limit, set[str](), []
    for trial in sorted(plan.trials, key=_urgency):
        needs = (trial.seconds or 0) * (1.0 if trial.settings.peer else share) / jobs_for(plan, jobs)
        if needs <= room:
            room -= needs
            kept.add(trial.name)
        else:
            out.append(LeftOut(trial.name, f"takes about {duration(trial.seconds or 0)}, {duration(room)} are left"))
    if not kept:
        raise UsageError(f"time (={limit:g} s) is too short for every trial: {out[0].name} {out[0].reason}")
    return replace(plan, trials=tuple(one for one in plan.trials if one.name in kept), left_out=tuple(out))


def _urgency(trial: Trial) -> tuple[bool, int, float]:
    """Return the key by which trials are kept first."""
    return trial.settings.peer is not None, trial.settings.recipe.seed, trial.seconds or 0
