#ifdef __aarch64__
#include <arm_neon.h>
#endif
