"""int8 networks that round as imported files do: activations by tables, pools that round halves up."""

from dataclasses import replace

import numpy as np

from mobilenets.quant.elementwise import lifted
from mobilenets.quant.scheme import LOW, QuantModel, QuantParams, integer_layers


def with_roundings(model: QuantModel, seed: int = 0) -> QuantModel:
    """`model` with a table of random integers for each hard sigmoid and half of its hard swishes."""
    rng = np.random.default_rng(seed)
    names = [op.name for op in model.graph.ops if op.kind == "hard_sigmoid"]
    names += [op.name for op in model.graph.ops if op.kind == "hard_swish"][::2]
    tables = {name: rng.integers(-128, 128, 256).astype(np.int8) for name in names}
    activations = dict(model.activations)
    for name in tables:
        before = name.removesuffix("_act")
        if name not in activations:  # a hard sigmoid, so far a part of its layer
            activations[name], activations[before] = activations[before], QuantParams(1 / 256, int(rng.integers(-9, 9)))
    found = integer_layers(model.graph, tables)
    for layer in found:
        if layer.op.kind == "global_average_pool":
            activations[layer.name] = lifted(activations[found[layer.sources[0] - 1].name])
            assert activations[layer.name].zero_point == LOW
    return replace(model, activations=activations, tables=tables)
