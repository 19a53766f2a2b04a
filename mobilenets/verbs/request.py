"""What `train` is asked for, and the settings that follow from it: also of a dry run and of the trials of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..arch.network import Network
from ..arch.zoo import DEFAULT
from ..designs import FAMILY_NAMES, Budget, Space
from ..errors import DataError, UsageError, printable
from ..machine import need_one_process
from ..model import Model
from ..progress import Watch
from ..tasks import Task
from ..tasks.classify import Classify
from ..training.recipe import Recipe
from .arguments import (
    FROM_SCRATCH,
    AnyBudget,
    AnyNetwork,
    AnyPreprocess,
    AnyPretrained,
    AnyRecipe,
    AnyTask,
    budget_of,
    check_pretrained,
    families_of,
    network_of,
    preprocess_of,
    recipe_of,
    start_of,
    task_of,
)
from .design import design, space_for

if TYPE_CHECKING:
    from ..data.sources import Dataset
    from ..training.group import Group
    from ..training.run import Settings
    from ..weights import Given

__all__ = ["Ready", "Request", "check_same"]

SHOWN = 10  # labels of the data that are listed before training


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a run is started with."""

    dataset: "Dataset"
    settings: "Settings"
    initial: Model | None  # what fine-tuning starts from


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `train` that say what is trained."""

    data: "str | Path | Dataset"
    network: AnyNetwork
    recipe: AnyRecipe
    budget: AnyBudget
    space: Space | None
    calibrate: Sequence[str | Path]
    pretrained: AnyPretrained
    given: "Given | None"
    preprocess: AnyPreprocess
    task: AnyTask
    command: str = ""

    def prepared(self, watch: Watch) -> Ready:
        """Check the arguments, read the data and decide every open setting."""
        from ..training.group import Group

        return self.settled(self.dataset(watch, Group()), watch, Group())

    def dataset(self, watch: Watch, group: "Group") -> "Dataset":
        """Check the arguments and return the data set, after notes on what it holds."""
        from ..training.device import check_device

        _, recipe, task, _ = self._checked()
        check_device(recipe, group)
        dataset = self._dataset(task, recipe, watch)
        check_same(dataset, group)
        return dataset

    def settled(self, dataset: "Dataset", watch: Watch, group: "Group") -> Ready:
        """Decide every open setting, of a run by the processes of `group`."""
        from ..training.device import resolve
        from ..training.run import Settings

        pretrained = self._start
        chosen, recipe, task, budget = self._checked()
        if budget:
            chosen = self._designed(budget, dataset, task, pretrained, watch)
        initial = None
        if pretrained is not None:
            start, wanted = start_of(pretrained, chosen if budget else self.network, self.given, watch)
            initial = _initial(start, wanted, task, dataset, watch)
            chosen = initial.network
            _note_colours(chosen, dataset, watch)
        network = task.configure_network(chosen or DEFAULT, dataset)
        preprocess = task.configure_preprocessing(
            preprocess_of(self.preprocess, network, initial.preprocess if initial else None)
        )
        tuned_on = len(dataset.splits["train"]) if initial else 0
        recipe = resolve(recipe, network.alpha, tuned_on, group)
        source = str(initial.data.get("imported", {}).get("file", initial.name)) if initial else ""
        settings = Settings(str(dataset.root.absolute()), network, preprocess, recipe, self.command, source, task)
        return Ready(dataset, settings, initial)

    @property
    def _start(self) -> AnyPretrained:
        return None if self.pretrained == FROM_SCRATCH else self.pretrained

    def _checked(self) -> tuple[Network | None, Recipe, Task, Budget | None]:
        """Return the arguments by their types; `UsageError` for those that contradict each other."""
        pretrained = self._start
        network, recipe = network_of(self.network), recipe_of(self.recipe)
        task, budget = task_of(self.task), budget_of(self.budget)
        if budget and network:
            raise UsageError("budget and network: give one of them; space says where a search may look")
        check_pretrained(pretrained)
        preprocess_of(self.preprocess, network or DEFAULT, None)
        recipe.check(fine_tuning=pretrained is not None)
        if recipe.freeze:
            need_one_process("freeze")
        if recipe.freeze and task.name != Classify.name:
            raise UsageError(f"freeze trains a classifier, the task is {task.name}")
        return network, recipe, task, budget

    def _dataset(self, task: Task, recipe: Recipe, watch: Watch) -> "Dataset":
        """Return the data set, after notes on what it holds."""
        from ..data.sources import Dataset
        from ..text import listed

        if isinstance(self.data, Dataset):
            return self.data
        dataset = task.for_training(task.open(self.data, max_bad=recipe.max_bad))
        sizes = ", ".join(f"{len(samples):,} {split}" for split, samples in dataset.splits.items())
        watch.note(f"{self.data}: {len(dataset.labels)} {task.label_noun}, {sizes} images")
        watch.note(f"{task.label_noun}: {listed([printable(label) for label in dataset.labels], SHOWN)}")
        return dataset

    def _designed(
        self, budget: Budget, dataset: "Dataset", task: Task, pretrained: AnyPretrained, watch: Watch
    ) -> Network:
        space = space_for(self.space or Space(), dataset)
        space = replace(space, base=task.configure_network(space.base, dataset))
        if pretrained is not None:
            of_file = ("v1-plain",) if space.families == FAMILY_NAMES else space.families
            space = space.within(families_of(pretrained) or of_file, "fine-tuning of what was asked for")
        found = design(budget, space, calibrate=self.calibrate, watch=watch)
        watch.note(f"design: {found.reason}")
        return found.choice.network


def check_same(dataset: "Dataset", group: "Group") -> None:
    """Raise `DataError` in all processes of `group` where they have not read the same data."""
    if not group.agree(dataset.fingerprint):
        raise DataError(f"{dataset.root}: torchrun's processes have not all read the same images and labels")


def _note_colours(network: Network, dataset: "Dataset", watch: Watch) -> None:
    """Report where a trained network sees photos otherwise than they are."""
    from ..data.sources import in_colour

    coloured = in_colour(dataset)
    if network.channels == 1 and coloured:
        watch.note("the photos have colours, and the network takes one grey channel: they are converted to grey")
    elif network.channels == 3 and not coloured:
        watch.note("the photos are grey, and the network takes three channels: grey is repeated in all three")


def _initial(pretrained: Model, network: Network, task: Task, dataset: "Dataset", watch: Watch) -> Model:
    """Return what fine-tuning starts from; a note reports which channels were kept."""
    from ..weights import transfer

    moved = transfer(pretrained, task.configure_network(network, dataset), task.outputs(dataset))
    watch.note(moved.note)
    return replace(moved.model, task=task.name)
