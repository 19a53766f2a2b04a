"""Emulated microcontrollers: a program is built with a cross compiler and run under QEMU with semihosting."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["BOARDS", "STRICT", "Board", "built", "compiled", "needs", "ran"]

STRICT = ("-Wall", "-Wextra", "-Werror")

# no startup files: an address for the stack, the code that begins, and nothing that could hide an error of the network
STARTUP = """
extern char _data_from[], _data[], _data_end[], _bss[], _bss_end[], _stack[];
extern int main(void);
extern void initialise_monitor_handles(void);
extern void exit(int) __attribute__((noreturn));
void reset(void);
void fault(void);
void _init(void);
void _fini(void);
__attribute__((section(".vectors"), used)) void *const vectors[16] = {
    _stack, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault};
void reset(void) {
    *(volatile unsigned *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit, and Helium */
    __asm volatile("dsb\\n isb");
    for (char *to = _data, *from = _data_from; to < _data_end;) *to++ = *from++;
    for (char *to = _bss; to < _bss_end;) *to++ = 0;
    initialise_monitor_handles();
    exit(main());
}
void fault(void) { exit(99); }
void _init(void) {}
void _fini(void) {}
"""
SCRIPT = """
MEMORY {{ flash (rx) : ORIGIN = {flash}, LENGTH = {size} ram (rwx) : ORIGIN = {ram}, LENGTH = {size} }}
SECTIONS {{
    .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.init .fini .eh_frame*) . = ALIGN(8); }} > flash
    .ARM.exidx : {{ *(.ARM.exidx*) }} > flash
    .data : {{ _data = .; *(.data*) . = ALIGN(8); _data_end = .; }} > ram AT > flash
    _data_from = LOADADDR(.data);
    .bss (NOLOAD) : {{ _bss = .; *(.bss*) *(COMMON) . = ALIGN(8); _bss_end = .; end = .; }} > ram
    _stack = ORIGIN(ram) + LENGTH(ram);
}}
"""


@dataclass(frozen=True, slots=True)
class Board:
    """A machine of `qemu-system-arm`, the flags for its core, and where its memory lies."""

    machine: str
    flags: tuple[str, ...]
    flash: str = "0x00000000"
    ram: str = "0x20000000"
    size: str = "512K"


BOARDS = {
    "cortex-m4": Board("mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
    "cortex-m7": Board("mps2-an500", ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16")),
    "cortex-m33": Board(
        "mps2-an505", ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), "0x10000000", "0x38000000"
    ),
    "cortex-m55": Board("mps3-an547", ("-mcpu=cortex-m55", "-mfloat-abi=hard")),
}


def needs(*tools: str) -> pytest.MarkDecorator:
    """Skip where a tool is not installed."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(lacking), reason=f"needs {', '.join(lacking)}")


def compiled(*command: object) -> None:
    """Run a compiler, which must not say anything."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr[:2000]


def built(board: Board, sources: Sequence[Path], include: Path, folder: Path, *options: str) -> Path:
    """Return the program of `sources` for a board."""
    (folder / "startup.c").write_text(STARTUP)
    (folder / "board.ld").write_text(SCRIPT.format(flash=board.flash, ram=board.ram, size=board.size))
    program = folder / "program.elf"
    compiled(
        "arm-none-eabi-gcc",
        *(*board.flags, "-mthumb", *options, f"-I{include}", "--specs=rdimon.specs", "-nostartfiles"),
        *("-T", folder / "board.ld", folder / "startup.c", *sources, "-o", program),
    )
    return program


def ran(board: Board, program: Path) -> tuple[int, str]:
    """Return the exit code of a program, and what it printed."""
    done = subprocess.run(
        ["qemu-system-arm", "-M", board.machine, "-nographic", "-semihosting", "-kernel", str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout
