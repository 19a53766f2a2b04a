#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)
#define HELIUM
#define FAST(fast, plain) fast
#include <arm_mve.h>
#else
#define FAST(fast, plain) plain
#endif
