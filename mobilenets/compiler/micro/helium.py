"""Write the assembly of the inner loop for cores with Helium (Armv8.1-M), and pack what it reads.

Codes of a pixel lie side by side, as bytes with a sign. The twin in C is `product_plain` (kernels/product_pixels.c).
"""

from .assembly import function

__all__ = ["channels", "dots"]


def dots(any: bool) -> str:
    """Return the function `dots`: two pixels times two outputs, 16 codes at a time; `dots_any`, which knows all
    limits, and what is left of each pixel's sums where weights have a zero point.

    Sums are in r4, r6, r8 and r10; bias, factor, offsets and limit of the four codes stay in q4 to q7.
    """
    unsigned = ["vcvtn.u32.f32 q0, q0", "vmin.u32 q0, q0, q4"]
    signed = [
        "vcvtn.s32.f32 q0, q0",
        "ldrd r2, r3, [sp, #12]",
        "vdup.32 q1, r2",
        "vmin.s32 q0, q0, q4",
        "vmax.s32 q0, q0, q1",
        "vdup.32 q1, r3",
        "vadd.i32 q0, q0, q1",
    ]
    rest = [
        "ldr r2, [sp, #8]",
        "ldrd r3, lr, [r2], #8",
        "str r2, [sp, #8]",
        "vmov s4, s5, r3, r3",
        "vmov s6, s7, lr, lr",
        "vadd.i32 q0, q0, q1",
    ]
    loads = [f"vldrb.u8 q{i}, [r{i}], #16" for i in range(4)]
    sums = ["r4, q0, q2", "r6, q0, q3", "r8, q1, q2", "r10, q1, q3"]
    lines = [
        "push {r4-r11, lr}",
        "vpush {d8-d15}",
        "ldrd r1, r2, [r0, #16]",  # out, count
        "ldrd r3, r4, [r0, #24]",  # step, blocks
        "add r5, r0, #32",
        "vldrw.32 q5, [r5]",
        "vldrw.32 q6, [r5, #16]",
        "vldrw.32 q7, [r5, #32]",
        "ldr r6, [r5, #48]",
        "vdup.32 q4, r6",
        "ldrd r6, r7, [r0, #84]",  # low, zero
        "ldr r5, [r0, #92]",  # rest
        "push {r3-r8}",
        "mov r9, r1",
        "mov r11, r2",
        "ldrd r12, r7, [r0, #8]",  # weights, depth
        "ldrd r0, r1, [r0]",
        "1:",
        "mov r2, r12",
        "add r3, r12, r7",
        *loads,
        *(f"vmladav.s8 {sum}" for sum in sums),
        "ldr lr, [sp, #4]",
        "wls lr, lr, 3f",
        "2:",
        *loads,
        *(f"vmladava.s8 {sum}" for sum in sums),
        "le lr, 2b",
        "3:",
        "vmov s0, s1, r4, r6",
        "vmov s2, s3, r8, r10",
        "vadd.i32 q0, q0, q6",
        *(rest if any else []),
        "vcvt.f32.s32 q0, q0",
        "vmul.f32 q0, q0, q7",
        *(signed if any else unsigned),
        "vstrb.32 q0, [r9, q5]",
        "mov r0, r1",
        "add r1, r1, r7",
        "ldr lr, [sp]",
        "add r9, r9, lr",
        "subs r11, #1",
        "bne 1b",
        "add sp, #24",
        "vpop {d8-d15}",
        "pop {r4-r11, pc}",
    ]
    return function(f"dots{'_any' * any}", ["const tiles *t"], lines)


def channels(wide: int, stride: int) -> str:
    """Return the function `channels_WIDE_STRIDE`: a depthwise convolution of four channels, of `wide` pixels at a time.

    Sums of products are floats in q0 to q3, which are exact; with the bias they are integers.
    """
    lines = [
        "push {r4-r11, lr}",
        "vpush {d8-d15}",
        "ldmia r0, {r0-r11}",
        "mov lr, r6",
        "1:",
        "mov r12, r0",
    ]
    for row in range(3):
        lines += ["mov r5, r12", "add r12, r12, r2"]
        lines += [f"vldrw.32 q{4 + tap}, [r4, #{48 * row + 16 * tap}]" for tap in range(3)]
        for column in range((wide - 1) * stride + 3):
            lines += ["vldrb.u32 q7, [r5]", "add r5, r5, r3", "vcvt.f32.u32 q7, q7"]
            for pixel in range(wide):
                if 0 <= (tap := column - pixel * stride) < 3:
                    lines.append(f"{'vmul' if row == tap == 0 else 'vfma'}.f32 q{pixel}, q7, q{4 + tap}")
    lines += [f"vldrw.32 q{4 + i}, [r4, #{144 + 16 * i}]" for i in range(4)]
    for sums in (f"q{pixel}" for pixel in range(wide)):
        lines += [
            f"vcvt.s32.f32 {sums}, {sums}",
            f"vadd.i32 {sums}, {sums}, q4",
            f"vcvt.f32.s32 {sums}, {sums}",
            f"vmul.f32 {sums}, {sums}, q5",
            f"vcvtn.u32.f32 {sums}, {sums}",
            f"vmin.u32 {sums}, {sums}, q6",
            f"veor {sums}, {sums}, q7",
            f"vstrb.32 {sums}, [r1]",
            "add r1, r1, r7",
        ]
    lines += ["add r0, r0, r8", "subs r6, #1", "bne 1b", "add r0, r0, r9", "add r1, r1, r10", "mov r6, lr"]
    lines += ["subs r11, #1", "bne 1b", "vpop {d8-d15}", "pop {r4-r11, pc}"]
    return function(f"channels_{wide}_{stride}", ["const channels *c"], lines)
