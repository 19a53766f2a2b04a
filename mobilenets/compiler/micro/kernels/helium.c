#define FAST(fast, plain) plain
