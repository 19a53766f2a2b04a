"""The grammar of a MobileNet: stem, blocks, head, pool, hidden layer, classifier.

The letters of its patterns are those of `tokens.py`.
"""

from collections.abc import Sequence
from typing import NoReturn, get_args

from ..arch.network import Activation, Block, Network
from ..arch.zoo import FAMILIES
from ..errors import ModelFileError
from .layers import FileLayer, weight, width
from .tokens import Token, is_convolution, is_stem, tokens

__all__ = ["Parser"]

# a block's letters with the names of their ops; "?": may be absent. The first pattern that fits is taken
_BLOCKS = (
    "d:start P:ex D?:dw G?:gate p:pw A?:add",
    "P:ex D:dw G?:gate p:pw A?:add",
    "P:ex p:pw A?:add",
    "D:dw G?:gate p:pw A?:add",
    "D:dw G?:gate P:pw A?:add",
    "C:conv p:pw A?:add",
    "C:conv A?:add",
    "P:pw A?:add",
)
_V1 = ("D:dw P:pw",)  # where the file states no activations
_GATE = ("relu", "hard_sigmoid")
_DEPTHS = {len(family.blocks) for family in FAMILIES.values()} | {8}  # of published networks


class Parser:
    """Parses layers into `found` (name of op -> layer) and `blocks`."""

    def __init__(self, layers: Sequence[FileLayer]) -> None:
        self.layers = layers
        self.stated = any(layer.activation is not None for layer in layers if is_convolution(layer))
        self.found: dict[str, FileLayer] = {}
        self.blocks: list[dict[str, FileLayer]] = []  # role -> layer
        self.tokens = list(tokens(layers))
        self.at = 0  # of the next token
        self.value = -1  # position of the layer whose output is taken next

    @property
    def whole(self) -> bool:
        """Return whether all blocks are present: a pool follows, or there are as many as in a published network."""
        return bool(self.blocks) and ("L" in self._letters(self.at, 1) or len(self.blocks) in _DEPTHS)

    @property
    def left(self) -> tuple[str, ...]:
        """Return the names of the layers after the body."""
        rest = self.tokens[self.at :]
        return tuple(layer.name for token in rest if token.letter != "L" for layer in token.layers)

    def parse(self) -> None:
        """Parse all layers; on an error `at` is the position after the body as far as it has been parsed."""
        self._stem()
        while self._another_block():
            self._block()
        if self._letters(self.at, 1) in ("P", "p"):
            self._head()
        self._end()

    def network(self, strides: Sequence[Block] | None) -> Network:
        """Return the network with explicit widths; `strides` are those of V1, where the file states none."""
        stem = self.found["conv0"]
        activation: Activation = next((kind for kind in get_args(Activation) if kind == stem.activation), "relu")
        blocks = []
        for i, block in enumerate(self.blocks):
            blocks.append(_made(block, strides[i].stride if strides else None, activation, len(self.blocks)))
        hidden = self.found.get("hidden")
        return Network(
            channels=weight(stem).shape[1],
            stem=width(stem),
            blocks=tuple(blocks),
            head=width(self.found["head"]) if "head" in self.found else 0,
            hidden=width(hidden) if hidden else 0,
            hidden_norm=hidden is not None and hidden.norm is not None,
            activation=activation,
        )

    def _letters(self, at: int, count: int) -> str:
        return "".join(token.letter for token in self.tokens[at : at + count])

    def _stem(self) -> None:
        if self._letters(0, 1) in ("L", "F", "f"):
            self._refuse(0, f"{self.tokens[0].named()} before a block is complete")
        if self.tokens and not is_stem(self.tokens[0].layers[0]):
            first = "first comes a 3x3 convolution of 1 or 3 channels with stride 2"
            self._refuse(0, f"{self.tokens[0].named()}: {first}")
        self._take("conv0")
        self._check_activation(0)

    def _another_block(self) -> bool:
        following = self._letters(self.at, 2)
        if not self.blocks:
            return True
        last = following[:1] in ("P", "p") and (len(following) == 1 or following[1] in "LFf" or not self.stated)
        return bool(following) and following[0] not in "LFf" and not last

    def _block(self) -> None:
        patterns = [[part.split(":") for part in block.split()] for block in (_BLOCKS if self.stated else _V1)]
        furthest = self.at, ""
        for pattern in patterns:
            end, roles = self._match(pattern)
            if len(roles) and end is not None:
                return self._add(roles)
            furthest = max(furthest, (self.at + len(roles), pattern[0][0]))
        self._refuse_block(*furthest)

    def _match(self, pattern: list[list[str]]) -> tuple[int | None, list[str]]:
        """Return the position after the block, None where it does not fit, and the roles as far as it does."""
        at, roles = self.at, []
        for letter, role in pattern:
            if self._letters(at, 1) == letter[0]:
                at += 1
                roles.append(role)
            elif not letter.endswith("?"):
                return None, roles
        return at, roles

    def _add(self, roles: list[str]) -> None:
        number, start, block = len(self.blocks) + 1, self.value, {}
        for role in roles:
            token = self.tokens[self.at]
            if role == "gate":
                self._gate(number, token)
                block["squeeze"] = token.layers[1]
            else:
                block[role] = self._take(f"{role}{number}", *([start] if role == "add" else []))
                if token.letter in "DPC":
                    self._check_activation(token.at)
                elif token.letter == "A" and block["add"].activation not in (None, "none"):
                    self._refuse_layer(token.at, "an activation after a sum, which no MobileNet has")
        active = [
            layer for role, layer in block.items() if role != "squeeze" and layer.activation in get_args(Activation)
        ]
        for layer in [layer for layer in active if layer.activation != active[0].activation]:
            raise ModelFileError(f"{layer.name}: {layer.activation}, where {active[0].name} has {active[0].activation}")
        self.blocks.append(block)

    def _check_activation(self, at: int) -> None:
        """Raise unless an activation of a MobileNet follows layer `at`, or the file states none at all."""
        if self.stated and self.layers[at].activation not in get_args(Activation):
            name = self.layers[at].name
            raise ModelFileError(f"layer {at + 1}, {name}: no ReLU or ReLU6 follows it, as in a MobileNet")

    def _refuse_block(self, at: int, letter: str) -> NoReturn:
        if letter == "d" and at > self.at:  # more likely than a depthwise convolution before an expansion
            self._check_activation(self.tokens[self.at].at)
        if at >= len(self.tokens):
            self._refuse_end()
        if self.tokens[at].letter in "LFf":
            self._refuse(at, f"{self.tokens[at].named()} before a block is complete")
        order = "no block of a MobileNet continues so" if self.stated and at > self.at else ""
        order = order or "depthwise and pointwise convolutions must alternate"
        self._refuse(at, f"{self.tokens[at].named()}: {order}")

    def _gate(self, number: int, token: Token) -> None:
        """Take the four layers of a gate; the last takes what the first took as well."""
        gated, first = self.value, token.at - 3
        for at, name, activation in zip((first + 1, first + 2), ("squeeze", "excite"), _GATE, strict=True):
            if self.layers[at].activation != activation:
                found = self.layers[at].activation
                self._refuse_layer(at, f"activation {found}, where the {name} of a gate has {activation}")
        for at, name in zip(range(first, token.at + 1), ("_pool", "_squeeze", "_excite", ""), strict=True):
            self._check_width(at)
            self._check_sources(at, {self.value, gated} if not name else {self.value})
            self.found[f"gate{number}{name}"] = self.layers[at]
            self.value = at
        self.at += 1

    def _take(self, name: str, *others: int) -> FileLayer:
        """Take the next layer as op `name`; a sum takes `others` as well."""
        if self.at >= len(self.tokens):
            self._refuse_end()
        token = self.tokens[self.at]
        self._check_width(token.at)
        self._check_sources(token.at, {self.value, *others})
        self.found[name], self.value = token.layers[0], token.at
        self.at += 1
        return token.layers[0]

    def _check_sources(self, at: int, wanted: set[int]) -> None:
        takes = self.layers[at].takes
        if takes is not None and set(takes) != wanted:
            found, needed = (
                " and ".join(self.layers[i].name if i >= 0 else "the image" for i in sorted(places))
                for places in (set(takes), wanted)
            )
            self._refuse_layer(at, f"it takes {found}, where a MobileNet takes {needed}")

    def _head(self) -> None:
        stem, at = self.found["conv0"], self.tokens[self.at].at
        if self.layers[at].activation != stem.activation:
            self._refuse_layer(at, f"activation {self.layers[at].activation}, where the stem has {stem.activation}")
        self._take("head")

    def _end(self) -> None:
        """Take pool, hidden layer and classifier; the body has ended at `at`."""
        at = self.at
        try:
            if "head" in self.found and self._letters(self.at, 1) in tuple("DdPpCc?"):
                self._refuse(self.at, f"{self.tokens[self.at].named()} after the head")
            while self._letters(self.at, 1) == "L":  # two where one file ends with it and the next begins with it
                self._take("pool" if "pool" not in self.found else "another pool")
            self.found.pop("another pool", None)
            if self.at >= len(self.tokens):
                self._refuse_end()
            if self._letters(self.at, 2) in ("PP", "PF", "FF", "Pp", "Pf", "FP", "Fp", "Ff") and self._is_hidden():
                self._take("hidden")
            self._classifier()
        except ModelFileError:
            for name in ("pool", "hidden", "fc"):
                self.found.pop(name, None)
            self.at = at
            raise

    def _is_hidden(self) -> bool:
        layer, stem = self.tokens[self.at].layers[0], self.found["conv0"]
        return layer.activation is not None and layer.activation == stem.activation

    def _classifier(self) -> None:
        if self.tokens[self.at].letter not in "PpFf":
            self._refuse(self.at, f"{self.tokens[self.at].named()} where the classifier should be")
        layer = self.tokens[self.at].layers[0]
        self._check_width(self.tokens[self.at].at)
        if layer.norm is not None or layer.activation not in (None, "none"):
            self._refuse(self.at, "a classifier with a batch norm or an activation")
        self._check_widths(self.tokens[self.at].at)
        self._take("fc")
        if self.at < len(self.tokens):
            self._refuse_layer(self.tokens[self.at].at, f"{self.tokens[self.at].named()} after the classifier")

    def _refuse_end(self) -> NoReturn:
        convolutions = [layer for layer in self.layers if is_convolution(layer)]
        self._check_widths(len(self.layers) - 1)
        if len(convolutions) < 3:
            few = f"only {len(convolutions)} convolutions before the classifier"
            raise ModelFileError(f"{few}: a MobileNet has at least 3")
        raise ModelFileError(
            f"it ends with {convolutions[-1].name}, before the classifier: give the file with the classifier as well; "
            "train --pretrained takes a body as it is"
        )

    def _refuse(self, at: int, problem: str) -> NoReturn:
        """Refuse a token, or an earlier layer that takes another number of channels than it is given."""
        self._check_widths(self.tokens[at].at)
        self._refuse_layer(self.tokens[at].at, problem)

    def _refuse_layer(self, at: int, problem: str) -> NoReturn:
        name = self.layers[at].name
        raise ModelFileError(f"layer {at + 1}, {name}: {problem}; it is not a MobileNet from there on")

    def _check_widths(self, last: int) -> None:
        for at in range(1, last + 1):
            self._check_width(at)

    def _check_width(self, at: int) -> None:
        layer = self.layers[at]
        before = self.layers[source] if (source := self._giver(at)) >= 0 else None
        if layer.weight is None or before is None:
            return
        takes = layer.weight.shape[0 if layer.kind == "depthwise" else 1]
        if takes != width(before):
            self._refuse_layer(at, f"it takes {takes} channels, but {before.name} gives {width(before)}")

    def _giver(self, at: int) -> int:
        """Return the layer with weights that gives the channels that layer `at` takes."""
        takes = self.layers[at].takes
        source = takes[0] if takes else at - 1
        return source if source < 0 or self.layers[source].weight is not None else self._giver(source)


def _made(block: dict[str, FileLayer], usual: int | None, activation: Activation, count: int) -> Block:
    """Return one block; `usual` is the stride where the file states none."""
    inner = next((block[role] for role in ("dw", "conv", "start") if role in block), None)
    stride = 1 if inner is None else inner.stride or usual
    if stride is None:
        raise ModelFileError(
            f"{count} blocks, and the file does not say their strides: MobileNet v1 has 13, or 8 when shallow, "
            "FD-MobileNet 11"
        )
    expanded = next((block[role] for role in ("dw", "ex", "conv") if role in block), None)
    last = block.get("pw") or block["conv"]
    projected = "pw" in block and (last.activation == "none")
    roles = [block[role] for role in ("ex", "dw", "conv", "pw") if role in block]
    stated = {layer.activation for layer in roles}
    own: Activation | None = next((kind for kind in get_args(Activation) if kind in stated), None)
    return Block(
        stride,
        width(last),
        kernel=3 if "conv" in block else weight(block["dw"]).shape[2] if "dw" in block else 0,
        expansion=width(expanded) if projected and expanded else 0,
        residual="add" in block,
        gate=width(block["squeeze"]) if "squeeze" in block else 0,
        activation=None if own == activation else own,
        start=weight(block["start"]).shape[2] if "start" in block else 0,
        fused="conv" in block,
    )
