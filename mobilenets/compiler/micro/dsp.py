"""Write the assembly of the inner loops for cores with the DSP instructions and a floating-point unit (Armv7E-M).

gcc spills the eight sums of a tile, so whole functions are assembly: four pixels times two outputs of a product. Their
twin in C is `tiles_any` (kernels/product.c), which other compilers' targets call.
"""

from .assembly import function

__all__ = ["FAR", "WIDEN", "lines", "skipped", "tiles"]

UNROLLED = 16  # pairs of codes
NEAR = 257  # pixels between pairs of codes that a load with write-back steps over
FAR = 1023  # and an addition

_HEAD = [
    "push {r4-r11, lr}",
    "vldmia r0, {s4-s15}",
    "adr r1, 2f",
    "vmov r2, s14",
    "add r1, r1, r2",
    "orr r1, r1, #1",
    "vmov s14, r1",
    "vmov r0, s8",
    "1:",
    "vmov r1, s12",
    "vmov lr, s14",
    "vmov r4, r8, s6, s7",
    *(f"mov {to}, r4" for to in ("r5", "r6", "r7")),
    *(f"mov {to}, r8" for to in ("r9", "r10", "r11")),
    "bx lr",
    ".balign 4",
    "2:",
]

_FOOT = [
    "vmov r2, r3, s10, s11",
    "str r8, [r3], #4",
    "str r4, [r2], #4",
    "vmov s10, s11, r2, r3",
    "vmov r0, r1, s8, s9",
    "adds r0, #16",
    "vmov s8, r0",
    "cmp r0, r1",
    "bne 1b",
    "pop {r4-r11, pc}",
]


def tiles(pitch: int, limited: bool, narrow: bool, shifted: bool) -> str:
    """Return the function `tiles_PITCH`: one step of two codes is eleven instructions for sixteen products.

    Sums are in r4 to r11, codes in r12 and lr, weights in r2 and r3; what does not fit waits in s4 to s16. `limited`:
    some largest code is below 255; `narrow`: scaled sums fit 16 bits; `shifted`: the code of 0 is not always 0.
    """
    near = pitch <= NEAR
    step = [
        "ldrd r2, r3, [r1], #8",
        "ldrd r12, lr, [r0], #8" if near else "ldrd r12, lr, [r0]",
        *_products(4, 5),
        f"ldrd r12, lr, [r0], #{4 * pitch - 8}" if near else "ldrd r12, lr, [r0, #8]",
        *_products(6, 7),
        *([] if near else [f"addw r0, r0, #{4 * pitch}"]),
    ]
    loop = [*step * UNROLLED, "vmov lr, s13", "cmp r1, lr", "bne 2b"]
    codes = [*_codes("s4", 4, limited, narrow, shifted), *_codes("s5", 8, limited, narrow, shifted)]
    head, foot = _HEAD, _FOOT
    if shifted:
        head = [_HEAD[0], "vpush {d8}", "vldmia r0, {s4-s16}", *_HEAD[2:]]
        foot = [*_FOOT[:-1], "vpop {d8}", _FOOT[-1]]
    lines = [*head, *loop, *codes, *foot]
    return function(f"tiles_{pitch}", ["const tiles *t"], lines)


def lines(stride: int, limited: bool) -> str:
    """Return the function `lines_STRIDE`: windows of 3x3 codes, four of stride 1 or two of stride 2 at a time.

    Weights are in r2 to r6, sums in r7 to r10, the bias in lr. A load of four codes is widened to the even and the odd
    ones; the left and the right weight of a row make one product of two codes.
    """
    body, sums = (_windows_1(), range(7, 11)) if stride == 1 else (_windows_2(), range(7, 9))
    registers = [f"r{register}" for register in sums]
    text = [
        "push {r4-r11, lr}",
        "ldmia r0!, {r1-r7}",
        "vldmia r0, {s4-s13}",
        "1:",
        "vmov lr, s13",
        "vmov r0, s9",
        "2:",
        *body,
        *_requantised(registers, "s4"),
        *(f"usat {register}, #8, {register}" for register in registers),
        *(_limited(registers) if limited else []),
        "vmov r11, r12, s5, s6",
        *["strh r8, [r11, #4]", "strh r7, [r11], #-8"],
        *(["strh r10, [r12, #4]", "strh r9, [r12], #-8"] if stride == 1 else []),
        "vmov s5, s6, r11, r12",
        "vmov r11, s7",
        "cmp r0, r11",
        "bne 2b",
        *_next_line(),
        "bne 1b",
        "pop {r4-r11, pc}",
    ]
    return function(f"lines_{stride}", ["const lines *l"], text)


def _widened() -> str:
    """Return the function `widen_16`, which converts 16 weights at a time."""
    pairs = [("r4", "r5"), ("r6", "r7"), ("r8", "r9"), ("r10", "r11")]
    text = [
        "push {r4-r11, lr}",
        "1:",
        "ldmia r0!, {r4, r6, r8, r10}",
        *(f"sxtb16 {odd}, {even}, ror #8" for even, odd in pairs),
        *(f"sxtb16 {even}, {even}" for even, _ in pairs),
        "stmia r1!, {r4-r11}",
        "subs r2, #16",
        "bgt 1b",
        "pop {r4-r11, pc}",
    ]
    return function("widen_16", ["const void *from", "void *to", "int count"], text)


def _windows_1() -> list[str]:
    """Return the sums of two by two windows, of four rows of four codes."""
    upper, lower = ("r7", "r8"), ("r9", "r10")
    return [
        *_row("[r0, r1]"),
        *_taps(upper, 1, "lr"),
        *_taps(lower, 0, "lr"),
        *_row("[r0, r1, lsl #1]"),
        *_taps(upper, 2),
        *_taps(lower, 1),
        "add r11, r0, r1",
        *_row("[r11, r1, lsl #1]"),
        *_taps(lower, 2),
        *_row("[r0], #-2"),
        *_taps(upper, 0),
    ]


def _row(address: str) -> list[str]:
    return [f"ldr r11, {address}", "uxtb16 r12, r11, ror #8", "uxtb16 r11, r11"]


OUTER = ("r2", "r3", "r4")  # left and right weight of each row
MIDDLE = (("r5", "b"), ("r5", "t"), ("r6", "b"))  # and the one between them


def _taps(sums: tuple[str, str], row: int, begin: str = "") -> list[str]:
    """Return the products of a row of weights with codes 0 to 2, and with codes 1 to 3."""
    (left, right), (middle, part) = sums, MIDDLE[row]
    return [
        f"smlad {left}, r11, {OUTER[row]}, {begin or left}",
        f"smlab{part} {left}, r12, {middle}, {left}",
        f"smlad {right}, r12, {OUTER[row]}, {begin or right}",
        f"smlat{part} {right}, r11, {middle}, {right}",
    ]


def _windows_2() -> list[str]:
    """Return the sums of two windows of stride 2, of three rows of six codes."""
    text = ["add r12, r0, #2"]
    for row, address in enumerate(("", ", r1", ", r1, lsl #1")):
        (middle, part), outer, begin = MIDDLE[row], OUTER[row], ("lr", "lr") if row == 0 else ("r7", "r8")
        text += [
            f"ldr r9, [r0{address}]",
            f"ldr r11, [r12{address}]",
            "uxtb16 r10, r9, ror #8",
            "uxtb16 r9, r9",
            "uxtb16 r11, r11",
            f"smlad r7, r9, {outer}, {begin[0]}",
            f"smlab{part} r7, r10, {middle}, r7",
            f"smlad r8, r11, {outer}, {begin[1]}",
            f"smlat{part} r8, r10, {middle}, r8",
        ]
    return [*text, "subs r0, #4"]


def _next_line() -> list[str]:
    """Return what moves all pointers to the next line, and counts the lines."""
    return [
        "vmov r7, r8, s5, s6",
        "vmov r9, r10, s10, s11",
        "add r7, r7, r10",
        "add r8, r8, r10",
        "vmov s5, s6, r7, r8",
        "vmov r7, s7",
        "vmov r8, s9",
        "add r7, r7, r9",
        "add r8, r8, r9",
        "vmov s7, r7",
        "vmov s9, r8",
        "vmov r7, s12",
        "subs r7, #1",
        "vmov s12, r7",
    ]


def _limited(registers: list[str]) -> list[str]:
    text = ["vmov r11, s8"]
    for register in registers:
        text += [f"cmp {register}, r11", "it gt", f"movgt {register}, r11"]
    return text


def skipped(pairs: int, pitch: int) -> int:
    """Return the bytes of code of the steps that the first round of the loop leaves out."""
    return -pairs % UNROLLED * 4 * (11 if pitch <= NEAR else 12)


def _products(first: int, second: int) -> list[str]:
    """Return the products of two pixels, whose sums of the first output are in these registers."""
    sums = [(first, "r12", "r2"), (second, "lr", "r2"), (first + 4, "r12", "r3"), (second + 4, "lr", "r3")]
    return [f"smlad r{to}, {code}, {weight}, r{to}" for to, code, weight in sums]


def _requantised(sums: list[str], factor: str) -> list[str]:
    """Return what rounds sums times the factor, two or four of them at once, to the nearest, halves to even."""
    reals = [f"s{i}" for i in range(len(sums))]
    pairs = [(f"{sums[i]}, {sums[i + 1]}", f"{reals[i]}, {reals[i + 1]}") for i in range(0, len(sums), 2)]
    return [
        *(f"vmov {there}, {here}" for here, there in pairs),
        *(f"vcvt.f32.s32 {real}, {real}" for real in reals),
        *(f"vmul.f32 {real}, {real}, {factor}" for real in reals),
        *(f"vcvtr.s32.f32 {real}, {real}" for real in reals),
        *(f"vmov {here}, {there}" for here, there in pairs),
    ]


def _codes(factor: str, first: int, limited: bool, narrow: bool, shifted: bool) -> list[str]:
    """Return what makes one word of codes of the sums in four registers, in the first of them."""
    a, b, c, d = (f"r{first + i}" for i in range(4))
    words = ["vmov lr, s16", "uxth lr, lr", *(f"add {to}, {to}, lr" for to in (a, b, c, d))] if shifted else []
    words += [*(f"usat {to}, #8, {to}" for to in (a, b, c, d)), f"orr {a}, {a}, {b}, lsl #8"]
    words += [f"orr {c}, {c}, {d}, lsl #8", f"orr {a}, {a}, {c}, lsl #16"]
    halves = [f"pkhbt {a}, {a}, {c}, lsl #16", f"pkhbt {b}, {b}, {d}, lsl #16"]
    halves += ["vmov lr, s16", *(f"qadd16 {to}, {to}, lr" for to in (a, b))] if shifted else []
    halves += [f"usat16 {a}, #8, {a}", f"usat16 {b}, #8, {b}", f"orr {a}, {a}, {b}, lsl #8"]
    return [
        *_requantised([a, b, c, d], factor),
        *(halves if narrow else words),
        *([f"vmov {b}, s15", f"usub8 {c}, {b}, {a}", f"sel {a}, {a}, {b}"] if limited else []),
    ]


WIDEN = _widened()
