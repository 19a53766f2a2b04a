"""`mobilenets describe`: what a network costs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, overload

from ..arch import PAPER, Network
from ..arch.zoo import DEFAULT, Row
from ..costs import Cost, DeviceCost
from ..costs import cost as count
from ..designs import parse_clock
from ..devices import cost_on, device_of
from ..errors import MissingExtraError, UsageError
from ..model import Model
from ..opening import is_model_name, open_model
from ..progress import Watch, watching
from ..quant.scheme import QuantModel
from .arguments import network_of
from .memory import int8_memory

__all__ = ["CostTable", "NetworkCosts", "cost"]


@dataclass(frozen=True, slots=True, repr=False)
class NetworkCosts:
    """The costs of a network, and the trained model where it is one."""

    cost: Cost
    model: Model | QuantModel | None = None
    device: DeviceCost | None = None  # on a microcontroller, in int8

    def __repr__(self) -> str:
        return f"NetworkCosts({self})"

    def __str__(self) -> str:
        found = self.cost
        return (
            f"{found.network.name}: {found.mult_adds / 1e6:,.3f} M mult-adds, {found.params:,} parameters, "
            f"{found.network.classes} classes"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets describe`, whose keys docs/json.md lists."""
        values, model = self.cost.to_dict(), self.model
        if model is not None:
            values |= {"labels": list(model.labels), "metrics": model.metrics, "preprocess": model.preprocess.to_dict()}
        if model is not None and model.precision == "int8":
            values["int8"] = int8_memory(model)
        return values if self.device is None else {**values, "device": self.device.to_dict()}


@dataclass(frozen=True, slots=True, repr=False)
class CostTable:
    """Rows of a table of the paper, printed and counted; `missing` says which could not be counted here."""

    rows: tuple[dict[str, Any], ...]
    missing: str = ""

    def __repr__(self) -> str:
        return f"CostTable({len(self.rows)} networks)"

    def __str__(self) -> str:
        names = [row.get("network") or row["name"] for row in self.rows]
        return "\n".join(
            f"{name}: {row['mult_adds'] / 1e6:,.1f} M mult-adds" for name, row in zip(names, self.rows, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets describe paper`."""
        return {"rows": list(self.rows)}


@overload
def cost(network: Literal["paper", "detectors"]) -> CostTable: ...  # type: ignore[overload-overlap]
@overload
def cost(
    network: Network | str | Path | Mapping[str, Any] | Model | QuantModel = ...,
    classes: int | None = ...,
    *,
    device: str | None = ...,
    clock: float | str | None = ...,
    watch: Watch | None = ...,
) -> NetworkCosts: ...
def cost(
    network: Network | str | Path | Mapping[str, Any] | Model | QuantModel = DEFAULT,
    classes: int | None = None,
    *,
    device: str | None = None,
    clock: float | str | None = None,
    watch: Watch | None = None,
) -> NetworkCosts | CostTable:
    """Compute what a network costs: mult-adds, parameters, bytes and memory, layer by layer.

    Parameters
    ----------
    network
        A `Network`, its name such as "0.5-160", a dictionary of its fields, a model, or anything that `load` takes.
        "paper": the networks of the paper's Tables 4 to 9; "detectors": those of its Table 13 (needs torch).
    classes
        The number of outputs of a network that is given by its name.
    device
        A microcontroller, a key of `devices.DEVICES`: also what the int8 network costs there, layer by layer.
    clock
        MHz of the device, a number or text such as "80MHz"; by default a usual one.
    """
    if network == "paper":
        return _paper()
    if network == "detectors":
        from ..machine import need_torch

        need_torch()
        from ..training.detectors import count_detectors

        return CostTable(tuple(asdict(row) for row in count_detectors()))
    if isinstance(network, Model | QuantModel):
        return _costs(network.network, network, device, clock)
    if isinstance(network, Path) or (isinstance(network, str) and is_model_name(network)):
        with watching(watch) as watch:
            model = open_model(network, watch).trained()
        return _costs(model.network, model, device, clock)
    found = network_of(network)
    if found is None:
        raise UsageError("cost needs a network, such as a Network, a name ('0.5-160') or a model")
    return _costs(found if classes is None else found.replace(classes=classes), None, device, clock)


def _costs(
    network: Network, model: Model | QuantModel | None, device: str | None, clock: float | str | None
) -> NetworkCosts:
    if device is None:
        if clock is not None:
            raise UsageError(f"clock (={clock!r}) is of a microcontroller: give device as well")
        return NetworkCosts(count(network), model)
    mhz = parse_clock(clock) if isinstance(clock, str) else clock
    return NetworkCosts(count(network), model, cost_on(network, device_of(device), mhz))


def _paper() -> CostTable:
    """Return Tables 4 to 9: the printed figures beside ours, and other networks counted in torchvision."""
    from ..costs.peers import PEERS

    rows, missing = [_paper_row(row) for row in PAPER], ""
    try:
        counted = [(peer, *peer.count()) for peer in PEERS.values()]
    except MissingExtraError as exc:
        missing, counted = f"without GoogLeNet, VGG16, AlexNet, SqueezeNet: {exc}", []
    rows += [
        (peer.name, peer.table, peer.top1, peer.paper_mult_adds_m, mult_adds, peer.paper_params_m, params, peer.note)
        for peer, mult_adds, params in counted
    ]
    names = "network table top1_printed mult_adds_m_printed mult_adds params_m_printed params note".split()
    return CostTable(tuple(dict(zip(names, row, strict=True)) for row in rows), missing)


def _paper_row(row: Row) -> tuple[str, str, float, float, int, float, int, str]:
    """Return our count in the way of the printed one: Table 4 leaves out the classifier of Conv MobileNet."""
    costs, note = count(row.network), ""
    mult_adds = costs.mult_adds
    if row.network.convolution == "full":
        mult_adds -= sum(layer.mult_adds for layer in costs.layers if layer.kind == "fully_connected")
        note = "mult-adds without the classifier, as printed"
    return row.network.name, row.table, row.top1, row.mult_adds_m, mult_adds, row.params_m, costs.params, note
