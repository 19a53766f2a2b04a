#if defined(__SSE2__)
#include <immintrin.h>
#endif
