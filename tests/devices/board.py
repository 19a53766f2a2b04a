"""Emulated microcontrollers: a program is built with a cross compiler and run under QEMU with semihosting."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["BOARDS", "STRICT", "Board", "built", "built_for_risc_v", "compiled", "needs", "ran", "ran_risc_v"]

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
MEMORY {{
    vectors (rx) : ORIGIN = {vectors}, LENGTH = 1K
    flash (rx) : ORIGIN = {flash}, LENGTH = 2M
    ram (rwx) : ORIGIN = {ram}, LENGTH = 512K
}}
SECTIONS {{
    .vectors : {{ KEEP(*(.vectors)) }} > vectors
    .text : {{ *(.text*) *(.rodata*) *(.init .fini .eh_frame*) . = ALIGN(8); }} > flash
    .ARM.exidx : {{ *(.ARM.exidx*) }} > flash
    .data : {{ _data = .; *(.data*) . = ALIGN(8); _data_end = .; }} > ram AT > flash
    _data_from = LOADADDR(.data);
    .bss (NOLOAD) : {{ _bss = .; *(.bss*) *(COMMON) . = ALIGN(8); _bss_end = .; end = .; }} > ram
    _stack = ORIGIN(ram) + LENGTH(ram);
}}
"""


@dataclass(frozen=True, slots=True)
class Board:
    """A machine of `qemu-system-arm`, and where its memory lies."""

    machine: str
    vectors: str = "0x00000000"
    flash: str = "0x00000400"
    ram: str = "0x20000000"


BOARDS = {
    "cortex-m4": Board("mps2-an386"),
    "cortex-m7": Board("mps2-an500"),
    "cortex-m33": Board("mps2-an505", "0x10000000", "0x10000400", "0x38000000"),
    "cortex-m55": Board("mps3-an547", flash="0x01000000"),
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
    (folder / "board.ld").write_text(SCRIPT.format(vectors=board.vectors, flash=board.flash, ram=board.ram))
    program = folder / "program.elf"
    compiled(
        "arm-none-eabi-gcc",
        *(*options, f"-I{include}", "--specs=rdimon.specs", "-nostartfiles"),
        *("-T", folder / "board.ld", folder / "startup.c", *sources, "-o", program),
    )
    return program


def ran(board: Board, program: Path, *options: str) -> tuple[int, str]:
    """Return the exit code of a program, and what it printed."""
    return _emulated("qemu-system-arm", "-M", board.machine, *options, "-kernel", str(program))


def built_for_risc_v(sources: Sequence[Path], include: Path, folder: Path, *options: str) -> Path:
    """Return the program of `sources` for RISC-V 32, with picolibc."""
    program = folder / "program.elf"
    memory = ["__flash=0x80000000", "__flash_size=4M", "__ram=0x80400000", "__ram_size=4M", "__stack_size=16K"]
    compiled(
        *("riscv64-unknown-elf-gcc", "-mcmodel=medany", *options, "--specs=picolibc.specs", "--oslib=semihost"),
        *("--crt0=semihost", *(f"-Wl,--defsym={one}" for one in memory), "-Tpicolibc.ld"),
        *(f"-I{include}", *sources, "-o", program),
    )
    return program


def ran_risc_v(program: Path, *options: str) -> tuple[int, str]:
    """Return the exit code of a program for RISC-V 32, and what it printed."""
    return _emulated("qemu-system-riscv32", "-M", "virt", "-bios", "none", *options, "-kernel", str(program))


def _emulated(*command: str) -> tuple[int, str]:
    words = [*command, "-nographic", "-semihosting"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr  # the console of RISC-V is standard error
