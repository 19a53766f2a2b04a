"""`Space`: the networks among which a search chooses, of several families."""

from dataclasses import dataclass, field, replace

from ..arch.network import SHALLOW_BODY, Network
from ..arch.zoo import FAMILIES
from ..errors import BudgetError

__all__ = ["FAMILY_NAMES", "Space", "body_of", "broad_family"]

# name -> the network at alpha 1; v1 is all members whose names begin so, and so on
_MEMBERS: dict[str, Network] = {
    "v1-plain": FAMILIES[""],
    "v1-shallow": FAMILIES[""].replace(blocks=SHALLOW_BODY),
    **{name: network for name, network in FAMILIES.items() if name},
}
_NAMES = {network.blocks: name for name, network in _MEMBERS.items()}


def body_of(network: Network) -> str | None:
    """Return the name of the body of `network`, such as v1-shallow; None for one that no family has."""
    return _NAMES.get(network.blocks)


def broad_family(network: Network) -> str:
    """Return v1, fd, v2, v3 or v4."""
    return _family(body_of(network) or "")


def _chosen(families: tuple[str, ...]) -> list[str]:
    """Return the names in `_MEMBERS` that `families` mean: v3 is v3-large, v3-small and their minimalistic variants.

    Raises `BudgetError` for a family that does not exist.
    """
    for family in families:
        if not any(_belongs(name, family) for name in _MEMBERS):
            raise BudgetError(
                f"family {family!r} must be one of {', '.join(dict.fromkeys((*FAMILY_NAMES, *_MEMBERS)))}"
            )
    return [name for name in _MEMBERS if any(_belongs(name, family) for family in families)]


def _family(name: str) -> str:
    return name.partition("-")[0]


def _belongs(name: str, family: str) -> bool:
    return name == family or name.startswith(f"{family}-")


FAMILY_NAMES = tuple(dict.fromkeys(_family(name) for name in _MEMBERS))  # v1, fd, v2, v3, v4


def _steps(low: int, high: int) -> tuple[float, ...]:
    """Return alphas from `low` to `high` hundredths in steps of 0.05."""
    return tuple(step / 100 for step in range(low, high + 1, 5))


# 0.1 costs a fifth of the V1 paper's smallest; 1.25 is the widest plain body that anyone published (timm). Channels of
# the others are multiples of 8, so that narrower ones differ little: V2 has the widths that were trained (imgclsmob,
# TF-slim), V3 those of its paper (0.35 to 1.25), V4 those that timm defines and its paper's 1
_ALPHAS = {
    "v1": _steps(10, 125),
    "fd": _steps(10, 125),
    "v2": _steps(25, 140),
    "v3": _steps(35, 125),
    "v4": _steps(35, 100),
}
# 32 is the smallest input, 256 what timm evaluates its 224 px networks at; a step of 16 at 224 costs 15 %. The newer
# families were trained at multiples of 32, at which every layer halves its input evenly
_STEPS = {"v1": 16, "fd": 16, "v2": 32, "v3": 32, "v4": 32}


@dataclass(frozen=True, slots=True)
class Space:
    """The networks to choose from: every alpha with every resolution of every family. Square images."""

    # settings of all networks: classes, input channels, padding, ...; of V1 and FD also activation, rounding, head
    base: Network = field(default_factory=Network)
    families: tuple[str, ...] = FAMILY_NAMES  # or names of `_MEMBERS`
    alphas: tuple[float, ...] | None = None  # None: those of each family
    resolutions: tuple[int, ...] | None = None  # None: 32 to 256, in steps of 16 of V1 and FD, of 32 of the others
    only: tuple[
        Network, ...
    ] = ()  # of all these, the networks among which to choose; empty: every alpha and resolution
    max_resolution: int | None = None  # the short side of the user's photos: larger inputs add no detail

    def networks(self) -> list[Network]:
        """Return all networks, with resolutions up to the first that covers `max_resolution`.

        Full convolutions (`base.convolution`) are V1's alone. Raises `NetworkError`, and `BudgetError` for a family
        that does not exist.
        """
        names = _chosen(self.families)
        if self.only:
            return [network for network in dict.fromkeys(self.only) if self._allows(network, names)]
        if self.base.convolution == "full":
            names = [name for name in names if _belongs(name, "v1")]
            if not names:
                raise BudgetError(f"family {', '.join(self.families)}: full convolutions are of v1 only")
        return [
            self._start(name).replace(alpha=alpha, height=side, width=side)
            for name in names
            for alpha in (_ALPHAS[_family(name)] if self.alphas is None else self.alphas)
            for side in self._sides(_family(name))
        ]

    def within(self, families: tuple[str, ...], taker: str) -> "Space":
        """Return the networks of this space that are of `families`, the only ones that `taker` takes.

        Raises `BudgetError` where there is none.
        """
        names = [name for name in _chosen(self.families) if name in _chosen(families)]
        if not names:
            raise BudgetError(f"family {', '.join(self.families)}: {taker} takes {', '.join(families)} only")
        return replace(self, families=tuple(names))

    def _allows(self, network: Network, names: list[str]) -> bool:
        """Return whether `network` has a family, an alpha and a resolution of this space."""
        alphas, sides = self.alphas or (network.alpha,), self.resolutions or (network.height,)
        return body_of(network) in names and network.alpha in alphas and network.height in sides

    def _sides(self, family: str) -> list[int]:
        sides = sorted(range(32, 257, _STEPS[family]) if self.resolutions is None else self.resolutions)
        if self.max_resolution is None:
            return sides
        covered = [side for side in sides if side < self.max_resolution]
        return sides[: len(covered) + 1]

    def _start(self, name: str) -> Network:
        """Return the network `name` of `_MEMBERS` with the settings of `base`."""
        member, base = _MEMBERS[name], self.base
        if member.rounding == FAMILIES[""].rounding:  # V1's blocks: everything else is the base's
            return base.replace(blocks=member.blocks)
        shared = ("channels", "classes", "padding", "epsilon", "output")
        return member.replace(**{setting: getattr(base, setting) for setting in shared})
