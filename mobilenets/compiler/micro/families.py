"""The families of kernels: how codes lie in memory, which kernels a step takes, and what they need."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import Sums
from ...quant.scheme import HIGH, LOW
from .dsp import FAR, WIDEN, lines, skipped, tiles
from .helium import channels, dots
from .lower import Part, Step
from .pack import PIXELS, pack_bytes, pack_product, pack_taps
from .plan import Arena

__all__ = ["FAMILIES", "Family"]

Bytes = np.ndarray[Any, np.dtype[np.int8]]
Strides = tuple[int, int, int, int]


class Family:
    """Plain C: an image is [row][channel][column], codes are words of two 16-bit numbers [pairs][pixel]."""

    before = ("types", "plain", "code", "pairs")  # kernels that all steps need
    behind = ("product",)

    def gather(self, step: Step) -> str:
        """Return the name of the kernel that gathers the codes of `step`."""
        return step.gather

    def function(self, step: Step) -> str:
        """Return the same in C, where the kernel may be of another processor."""
        return f"gather_{self.gather(step)}"

    def tiles(self, step: Step, pitch: int) -> str:
        """Return the kernel for tiles of the product, in C."""
        return "tiles_any"

    def skip(self, step: Step, pitch: int) -> int:
        """Return the bytes of code of that kernel to jump over."""
        return 0

    def pairs(self, step: Step) -> int:
        """Return half of the codes of a pixel, padding included."""
        return (step.depth + 1) // 2

    def scratch(self, step: Step, band: int, pixels: int) -> int:
        """Return the bytes of the codes of so many pixels, and of the weights of two outputs in 16 bits."""
        return 4 * self.pairs(step) * (pixels + 2)

    def strides(self, shape: tuple[int, int, int], whole: bool) -> Strides:
        """Return the bytes between rows, pixels and channels of an image, and the pixels side by side.

        `whole`: one band writes all of it, and one band reads it; it is [channel][row][column].
        """
        height, width, channels = shape
        return (width, 1, height * width, height * width) if whole else (width * channels, 1, width, width)

    def weights(self, step: Step) -> tuple[Bytes, Sums]:
        """Return the packed weights of the product, and with what its sums begin."""
        return pack_product(step.last), step.last.bias

    def taps(self, step: Step) -> Bytes:
        """Return the packed weights of the depthwise convolution."""
        return pack_taps(step)

    def assembly(self, steps: Sequence[Step], arena: Arena) -> list[str]:
        """Return the functions of assembly that the steps call."""
        return []


class Dsp(Family):
    """Cores with the DSP instructions: the same memory, and kernels of assembly where codes are not negative."""

    before = ("types", "dsp", "code", "pairs")

    def gather(self, step: Step) -> str:
        if step.window.kernel == 3:
            if step.gather == "depthwise" and step.padding == 0 and _nonnegative(step.first):
                return "lines"
            if step.gather == "window" and step.image and step.shape_in[2] == 3:
                return "pixels"
        return step.gather

    def function(self, step: Step) -> str:
        kind = self.gather(step)
        return "FAST(gather_lines, gather_depthwise)" if kind == "lines" else f"gather_{kind}"

    def tiles(self, step: Step, pitch: int) -> str:
        return f"FAST(tiles_{pitch}, tiles_any)" if _assembled(step, pitch) else "tiles_any"

    def skip(self, step: Step, pitch: int) -> int:
        return skipped(self.pairs(step), pitch)

    def scratch(self, step: Step, band: int, pixels: int) -> int:
        """Return also the bytes of the padded rows of a channel that a depthwise convolution reads.

        Weights are widened four pairs at a time, and two rows computed together.
        """
        columns = (step.shape_in[1] + 3) // 4 * 4 + 8
        rows = (max(band, 2) - 1) * step.window.stride + 3
        return super().scratch(step, band, pixels) + 24 + (rows * columns if self.gather(step) == "lines" else 0)

    def weights(self, step: Step) -> tuple[Bytes, Sums]:
        order = PIXELS if self.gather(step) == "pixels" else ()
        return pack_product(step.last, order), step.last.bias

    def assembly(self, steps: Sequence[Step], arena: Arena) -> list[str]:
        pitches = [placed.pitch for placed in arena.steps]
        found = [(step, pitch) for step, pitch in zip(steps, pitches, strict=True) if _assembled(step, pitch)]
        limited = any(step.last.rule.high < HIGH - LOW for step, _ in found)
        shifted = any(step.last.rule.zero for step, _ in found)
        narrow = all(_narrow(step.last) for step, _ in found)
        texts = [tiles(pitch, limited, narrow, shifted) for pitch in sorted({pitch for _, pitch in found})]
        firsts = [step.first for step in steps if step.first and self.gather(step) == "lines"]
        if firsts:
            limited = any(part.rule.high < HIGH - LOW for part in firsts)
            texts += [lines(stride, limited) for stride in (1, 2)]
        return ["#ifdef DSP\n", WIDEN, *texts, "#endif\n"]


class Helium(Family):
    """Cores with Helium: images are [row][column][channel], and codes [pixel][16 n] bytes with a sign."""

    before = ("types", "helium", "code", "pixels")
    behind = ("product_pixels",)

    def gather(self, step: Step) -> str:
        channels = step.shape_in[2]
        if step.window.kernel == 3:
            if step.gather == "depthwise" and step.padding == 0 and channels >= 4 and _nonnegative(step.first):
                return "channels"
            if step.gather == "window" and step.image and channels == 3:
                return "image"
        return step.gather

    def function(self, step: Step) -> str:
        kind = self.gather(step)
        return "FAST(gather_channels, gather_depthwise)" if kind == "channels" else f"gather_{kind}"

    def tiles(self, step: Step, pitch: int) -> str:
        if step.product is None or step.product.rule.table is not None:
            return "0"
        return f"FAST({'dots_any' if self.any(step) else 'dots'}, 0)"

    def any(self, step: Step) -> bool:
        """Return whether the product needs more than sums from 0 to a limit."""
        return step.last.weight_zero != 0 or not _nonnegative(step.last)

    def pairs(self, step: Step) -> int:
        return -(-step.depth // 16) * 8

    def scratch(self, step: Step, band: int, pixels: int) -> int:
        """Return the bytes of codes, of a few behind them, and of the padded rows that a convolution reads.

        What is left of the sums of pixels lies where the rows were.
        """
        codes, rest = (pixels + 3) * 2 * self.pairs(step), 4 * (pixels + 1)
        _, _, channels = step.shape_in
        stride, columns = step.window.stride, (step.shape_out[1] + 3) * step.window.stride + 2
        rows = ((band - 1) * stride + 3) * columns * channels if self.gather(step) == "channels" else 0
        return codes + max(rows, rest if self.any(step) else 0)

    def strides(self, shape: tuple[int, int, int], whole: bool) -> Strides:
        _, width, channels = shape
        return width * channels, channels, 1, width

    def weights(self, step: Step) -> tuple[Bytes, Sums]:
        return pack_bytes(step.last, 2 * self.pairs(step))

    def taps(self, step: Step) -> Bytes:
        first = step.first
        assert first is not None
        return first.weight[:, 0].reshape(len(first.weight), -1).T

    def assembly(self, steps: Sequence[Step], arena: Arena) -> list[str]:
        texts = [dots(False), dots(True)]
        if any(self.gather(step) == "channels" for step in steps):
            texts += [channels(wide, stride) for wide in (3, 4) for stride in (1, 2)]
        return ["#ifdef HELIUM\n", *texts, "#endif\n"]


def _nonnegative(part: Part | None) -> bool:
    """Return whether codes are rounded sums from 0 to a largest one, which is all that some assembly knows."""
    return part is not None and part.rule.zero == part.rule.low == 0 and part.rule.table is None


def _narrow(part: Part) -> bool:
    """Return whether sums times factors fit 16 bits, for all codes."""
    weights = np.abs(part.weight.astype(np.float64) - part.weight_zero).reshape(len(part.weight), -1).sum(axis=1)
    return bool(((weights * (HIGH - LOW) + np.abs(part.bias.astype(np.float64))) * part.factor < 2**15 - 2).all())


def _assembled(step: Step, pitch: int) -> bool:
    rule = step.last.rule
    return step.product is not None and rule.low == 0 and rule.table is None and 4 <= pitch <= FAR


FAMILIES = {"plain": Family(), "dsp": Dsp(), "helium": Helium()}
