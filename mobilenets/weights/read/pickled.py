"""The pickles of `torch.save`, read as data by a stack machine for the few opcodes that a state dict needs.

It imports nothing and calls nothing: only the names of tensors, storages and dicts are known, all others are refused.
Memory is bounded by the file's size, which `torch.load(weights_only=True)` does not promise: there a pickle of 700
bytes may allocate gigabytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pickletools import genops
from typing import Any, BinaryIO

import numpy as np

from ...errors import ModelFileError

__all__ = ["ADVICE", "Storage", "Stored", "Unpickled", "unpickle"]

MAX_OPCODES = 1_000_000  # of one pickle: a large checkpoint has some thousand
MAX_DIMS = 8  # of a tensor; no call takes more values either

# a storage's class -> its numbers, as `state_dict.floats` calls them
_STORAGES = {
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch DoubleStorage": "<f8",
    "torch BFloat16Storage": "bf16",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}
ADVICE = ", which is not read: save its tensors alone, torch.save(model.state_dict(), PATH)"


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that the file holds elsewhere, under a key."""

    dtype: str
    key: str
    count: int

    @property
    def itemsize(self) -> int:
        """Return the bytes of one value."""
        return 2 if self.dtype == "bf16" else np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor, which is a part of a storage. Offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function that the pickle names."""

    text: str


@dataclass(slots=True)
class Unpickled:
    """The object of one pickle, and the storages that it refers to, by key."""

    value: Any = None
    storages: dict[str, Storage] = field(default_factory=dict)


def unpickle(file: BinaryIO) -> Unpickled:
    """Return the next pickle of `file`.

    Raises `ModelFileError` where it is damaged, or holds more than tensors and plain values.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(genops(file)):
            if opcode.name == "STOP":
                return Unpickled(machine.pop(), machine.storages)
            if count == MAX_OPCODES:
                raise ModelFileError(f"its pickle has more than {MAX_OPCODES} steps: no state dict has so many")
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as exc:
        raise ModelFileError(f"damaged: {exc}") from exc
    raise ModelFileError("damaged: its pickle has no end")


class _Machine:
    """The stack machine of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Execute one opcode."""
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _FRESH:
            self.stack.append(_FRESH[opcode]())
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME"):
            raise ModelFileError(f"holds objects ({opcode}), not tensors only{ADVICE}")

    def pop(self) -> Any:
        """Return the top of the stack and remove it."""
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Return the values above the last mark and remove them."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def mark(self, _: Any) -> None:
        """Push a mark."""
        self.marks.append(len(self.stack))

    def close_tuple(self, _: Any) -> None:
        """Push the values above the mark as a tuple."""
        self.stack.append(tuple(self.pop_to_mark()))

    def short_tuple(self, count: int) -> None:
        """Push the last `count` values as a tuple."""
        if count > len(self.stack):
            raise IndexError("a tuple of more than there is")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def append(self, items: list[Any]) -> None:
        """Append values to a list."""
        self._top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Set items of a dict."""
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise TypeError("a key must be text or a number")
            target[key] = value

    def put(self, index: int) -> None:
        """Store the top of the stack in the memo."""
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        """Push a value of the memo."""
        self.stack.append(self.memo[index])

    def name(self, text: str) -> None:
        """Push a class or function by name."""
        if text not in _CALLS and text not in _STORAGES:
            raise ModelFileError(f"holds code ({text.replace(' ', '.')[:80]!r}){ADVICE}")
        self.stack.append(_Name(text))

    def stack_name(self, _: Any) -> None:
        """Push a class or function whose name is on the stack."""
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name must be text")
        self.name(f"{module} {name}")

    def call(self, _: Any) -> None:
        """Call one of the known functions."""
        arguments, name = _few(self.pop()), self.pop()
        self.stack.append(_CALLS[name.text](*arguments))

    def build(self, _: Any) -> None:
        """Ignore a dict's attributes, such as a state dict's versions."""
        self.pop()
        self._top(dict)

    def storage(self, _: Any) -> None:
        """Push a reference to a storage."""
        mark, kind, key, _, count, *view = _few(self.pop())
        if mark != "storage" or kind.text not in _STORAGES or not isinstance(key, str) or view not in ([], [None]):
            raise ValueError("a reference that is no storage")
        storage = Storage(_STORAGES[kind.text], key, _natural(count))
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("one storage of two kinds")
        self.stack.append(storage)

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"no {kind.__name__} where one should be")
        return self.stack[-1]


def _few(values: Any) -> tuple[Any, ...]:
    """Check the size of the arguments of a call or a reference, which a pickle may repeat without limit."""
    if not isinstance(values, tuple) or len(values) > MAX_DIMS:
        raise ValueError("no tuple of a few values where one should be")
    return values


def _tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Stored:
    """Return a tensor that lies within its storage and is no larger."""
    if not isinstance(storage, Storage) or len(shape) != len(strides) or len(shape) > MAX_DIMS:
        raise ValueError("a tensor without storage, or of too many dimensions")
    count, last = prod(map(_natural, shape)), _natural(offset)
    last += sum((n - 1) * _natural(stride) for n, stride in zip(shape, strides, strict=True))
    if count and (count > storage.count or last >= storage.count):
        raise ModelFileError(f"a tensor of shape {shape} in a storage of {storage.count} values")
    return Stored(storage, offset, shape, strides)


def _natural(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 63:
        raise ValueError("a size that is no natural number")
    return number


def _parameter(tensor: Stored, *_: Any) -> Stored:
    return tensor


_CALLS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": lambda: {},
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "argparse Namespace": lambda: {},  # the settings of a training script: read as data, and not used
}

_LITERALS = frozenset(
    "NONE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING".split()
)
_FRESH: dict[str, Callable[[], Any]] = {
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.close_tuple,
    "TUPLE1": lambda machine, _: machine.short_tuple(1),
    "TUPLE2": lambda machine, _: machine.short_tuple(2),
    "TUPLE3": lambda machine, _: machine.short_tuple(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage,
}
