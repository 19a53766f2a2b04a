"""Number formats that networks are compiled in; `FORMATS` has an entry for each."""

from .bf16 import Bf16, Bf16x3, Bf16x6
from .format import Format
from .fp16 import Fp16
from .fp32 import Fp32
from .int8 import Int8

__all__ = ["FORMATS", "Format"]

FORMATS: dict[str, type[Format]] = {format.name: format for format in (Fp32, Fp16, Bf16, Bf16x3, Bf16x6, Int8)}
