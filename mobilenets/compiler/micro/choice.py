"""Choose the kernels of a step, and work out the memory that they need beside the images."""

from .cores import Core
from .dsp import FAR
from .lower import Part, Step

__all__ = ["assembled", "gather", "line_bytes", "scratch"]


def gather(step: Step, core: Core) -> str:
    """Return the name of the kernel that gathers the codes of `step`."""
    if core.kernels == "dsp" and step.window.kernel == 3:
        if step.gather == "depthwise" and step.padding == 0 and step.first and _nonnegative(step.first):
            return "lines"
        if step.gather == "window" and step.image and step.shape_in[2] == 3:
            return "pixels"
    return step.gather


def assembled(step: Step, core: Core, pitch: int) -> bool:
    """Return whether the product of `step` is computed by assembly, for so many pixels of scratch."""
    return core.kernels == "dsp" and _nonnegative(step.product) and 4 <= pitch <= FAR


def _nonnegative(part: Part) -> bool:
    """Return whether codes are rounded sums from 0 to a largest one, which is all that assembly knows."""
    rule = part.rule
    return rule.zero == rule.low == 0 and rule.table is None


def scratch(step: Step, core: Core, band: int, pixels: int) -> int:
    """Return the bytes of the codes of so many pixels, of the weights of two outputs in 16 bits, and of lines."""
    pairs = (step.depth + 1) // 2
    codes = 4 * pairs * pixels + 8 * (pairs + 3)  # weights are widened four pairs at a time
    return codes + (line_bytes(step, band) if gather(step, core) == "lines" else 0)


def line_bytes(step: Step, band: int) -> int:
    """Return the bytes of the padded rows of a channel that a depthwise convolution of `band` rows reads."""
    columns = (step.shape_in[1] + 3) // 4 * 4 + 8
    return ((max(band, 2) - 1) * step.window.stride + 3) * columns
