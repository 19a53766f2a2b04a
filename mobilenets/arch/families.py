"""The blocks of each MobileNet as tables of rows, with the paper and the table of each."""

from collections.abc import Iterator

from .block import Activation, Block

__all__ = [
    "BODY",
    "FD_BODY",
    "PREFIXES",
    "SHALLOW_BODY",
    "V2_BODY",
    "V3_LARGE_BODY",
    "V3_LARGE_MINIMALISTIC_BODY",
    "V3_SMALL_BODY",
    "V3_SMALL_MINIMALISTIC_BODY",
    "V4_CONV_MEDIUM_BODY",
    "V4_CONV_SMALL_BODY",
]

Blocks = tuple[Block, ...]


def _separable(*rows: tuple[int, int, int]) -> Blocks:
    """Return V1's blocks of rows (times, stride, channels)."""
    return tuple(Block(stride, channels) for times, stride, channels in rows for _ in range(times))


# Howard et al. 2017, Table 1; its last stride is printed as 2 and must be 1 (7x7 in, 7x7 out)
BODY = _separable((1, 1, 64), (1, 2, 128), (1, 1, 128), (1, 2, 256), (1, 1, 256), (1, 2, 512), (5, 1, 512))
BODY += _separable((1, 2, 1024), (1, 1, 1024))
SHALLOW_BODY = BODY[:6] + BODY[11:]  # the same, Table 5: without the five 14x14x512 blocks

# Qin et al. 2018 (FD-MobileNet, arXiv 1802.03750), Table 2: fast downsampling
FD_BODY = _separable((1, 2, 64), (1, 2, 128), (1, 1, 128), (1, 2, 256), (1, 1, 256), (1, 2, 512), (4, 1, 512))
FD_BODY += _separable((1, 1, 1024))


def _v2() -> Iterator[Block]:
    """Yield the blocks of Sandler et al. 2018 (arXiv 1801.04381), Table 2: expansion t, channels c, times n, stride."""
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    before = 32
    for factor, channels, times, stride in rows:
        for number in range(times):
            step = 1 if number else stride
            yield Block(step, channels, expansion=factor * before, residual=step == 1)
            before = channels


V2_BODY = tuple(_v2())

# Howard et al. 2019 (arXiv 1905.02244): kernel, expansion, channels, squeeze and excite, activation, stride
_Row = tuple[int, int, int, bool, Activation, int]
_V3_LARGE: tuple[_Row, ...] = (  # Table 1
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
)
_V3_SMALL: tuple[_Row, ...] = (  # Table 2
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1),
    (5, 144, 48, True, "hard_swish", 1),
    (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1),
    (5, 576, 96, True, "hard_swish", 1),
)


def _v3(rows: tuple[_Row, ...], minimalistic: bool = False) -> Iterator[Block]:
    """Yield the blocks; a gate has a quarter of the channels that it takes, before rounding (section 5.3).

    `minimalistic` (TF-slim's README): 3x3 kernels, ReLU, no gates.
    """
    for kernel, expansion, channels, gated, activation, stride in rows:
        if minimalistic:
            yield Block(stride, channels, expansion=expansion, residual=stride == 1)
        else:
            own = activation if activation != "hard_swish" else None
            yield Block(stride, channels, kernel, expansion, stride == 1, expansion // 4 * gated, own)


V3_LARGE_BODY, V3_LARGE_MINIMALISTIC_BODY = tuple(_v3(_V3_LARGE)), tuple(_v3(_V3_LARGE, minimalistic=True))
V3_SMALL_BODY, V3_SMALL_MINIMALISTIC_BODY = tuple(_v3(_V3_SMALL)), tuple(_v3(_V3_SMALL, minimalistic=True))


def _bottlenecks(before: int, *rows: tuple[int, int, int, int, int, int]) -> Iterator[Block]:
    """Yield universal inverted bottlenecks of rows (times, start kernel, kernel, stride, factor, channels)."""
    for times, start, kernel, stride, factor, channels in rows:
        for _ in range(times):
            yield Block(stride, channels, kernel, factor * before, stride == 1, start=start)
            before = channels


# Qin et al. 2024 (arXiv 2404.10518), appendix; layers and factors as the authors' and timm's code have them
V4_CONV_SMALL_BODY = (
    Block(2, 32, fused=True),
    Block(1, 32, kernel=0),
    Block(2, 96, fused=True),
    Block(1, 64, kernel=0),
    *_bottlenecks(
        64,
        *((1, 5, 5, 2, 3, 96), (4, 0, 3, 1, 2, 96), (1, 3, 0, 1, 4, 96)),
        *((1, 3, 3, 2, 6, 128), (1, 5, 5, 1, 4, 128), (1, 0, 5, 1, 4, 128), (1, 0, 5, 1, 3, 128), (2, 0, 3, 1, 4, 128)),
    ),
)
V4_CONV_MEDIUM_BODY = (
    Block(2, 48, expansion=128, fused=True),
    *_bottlenecks(
        48,
        *((1, 3, 5, 2, 4, 80), (1, 3, 3, 1, 2, 80)),
        *((1, 3, 5, 2, 6, 160), (2, 3, 3, 1, 4, 160), (1, 3, 5, 1, 4, 160), (1, 3, 3, 1, 4, 160)),
        *((1, 3, 0, 1, 4, 160), (1, 0, 0, 1, 2, 160), (1, 3, 0, 1, 4, 160)),
        *((1, 5, 5, 2, 6, 256), (1, 5, 5, 1, 4, 256), (2, 3, 5, 1, 4, 256), (1, 0, 0, 1, 4, 256), (1, 3, 0, 1, 4, 256)),
        *((1, 3, 5, 1, 2, 256), (1, 5, 5, 1, 4, 256), (2, 0, 0, 1, 4, 256), (1, 5, 0, 1, 2, 256)),
    ),
)

# what a network's name begins with; V1 has no prefix
PREFIXES: dict[Blocks, str] = {
    SHALLOW_BODY: "shallow-",
    FD_BODY: "fd-",
    V2_BODY: "v2-",
    V3_LARGE_BODY: "v3-large-",
    V3_LARGE_MINIMALISTIC_BODY: "v3-large-minimalistic-",
    V3_SMALL_BODY: "v3-small-",
    V3_SMALL_MINIMALISTIC_BODY: "v3-small-minimalistic-",
    V4_CONV_SMALL_BODY: "v4-conv-small-",
    V4_CONV_MEDIUM_BODY: "v4-conv-medium-",
}
