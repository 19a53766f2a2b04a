/* Instructions of the inner loops, which the compiler keeps in the order in which they stand: processors that execute
 * in order wait for what is loaded too late. */
#ifdef __aarch64__
#include <arm_neon.h>
#define LOAD(to, from) __asm__ volatile("ldr %q0, %1" : "=w"(to) : "m"(from))
#else
#define LOAD(to, from) (to) = (from)
#endif
