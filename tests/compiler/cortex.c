/* Runs a network on an emulated Cortex-M board without a library: prints, for each image, the logits and the ticks. */
#include "images.h"
#include "mobilenets_network.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define PAINTED 4096 /* bytes of stack whose use is measured */

extern uint32_t stack_end[];
static uint32_t arena[(MOBILENETS_NETWORK_ARENA_BYTES + 67) / 4];
void reset(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {stack_end, (void *)reset};

static int host(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void number(long value) {
    char text[16], *at = text + 15;
    unsigned long rest = value < 0 ? (unsigned long)-value : (unsigned long)value;
    *at = 0;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    host(4, at);
    host(4, " ");
}

#ifdef TRACED
extern int stop;

/* The checksum of what each step writes. */
static void one(const uint8_t *pixels) {
    int8_t logits[MOBILENETS_NETWORK_CLASSES];
    int i, k;
    for (stop = 1; stop <= TRACED; stop++) {
        const uint8_t *from = (const uint8_t *)arena + traced[stop - 1][0];
        uint32_t sum = 0xffffffff;
        mobilenets_network_run(pixels, logits, arena);
        if (stop == TRACED) from = (const uint8_t *)logits;
        for (i = 0; i < traced[stop - 1][1]; i++)
            for (sum ^= from[i], k = 0; k < 8; k++) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
        number((long)(~sum >> 1));
    }
    host(4, "\n");
}
#else
__attribute__((noinline)) static void one(const uint8_t *pixels) {
    int8_t logits[MOBILENETS_NETWORK_CLASSES];
    volatile uint8_t *stack = (volatile uint8_t *)__builtin_frame_address(0) - PAINTED - 64;
    uint32_t before, ticks, used = PAINTED;
    int i;
    for (i = 0; i < PAINTED; i++) stack[i] = 0xa5;
    before = REGISTER(0xe000e018);
    mobilenets_network_run(pixels, logits, arena);
    ticks = (before - REGISTER(0xe000e018)) & 0xffffff;
    while (used && stack[PAINTED - used] == 0xa5) used--;
    for (i = 0; i < MOBILENETS_NETWORK_CLASSES; i++) number(logits[i]);
    number((long)ticks);
    number((long)used);
    for (i = 0; i < 16; i++)
        if (arena[(MOBILENETS_NETWORK_ARENA_BYTES + 3) / 4 + i]) host(4, "overrun ");
    host(4, "\n");
}
#endif

void reset(void) {
    int i;
    REGISTER(0xe000ed88) |= 0xf << 20; /* the floating-point unit, and Helium */
    REGISTER(0xe000e014) = 0xffffff;   /* SysTick: from the largest number down, at the clock of the processor */
    REGISTER(0xe000e018) = 0;
    REGISTER(0xe000e010) = 5;
    for (i = 0; i < IMAGES; i++) one(images[i]);
    host(0x18, (void *)0x20026);
    for (;;) {}
}
