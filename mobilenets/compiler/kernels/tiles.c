/* Tiles, as AMX has them: eight of 16 rows of 64 bytes. Two bodies: the instructions where the compiler is told that the
 * processor has them, elsewhere what their manual says that they do, so that everything built on them runs anywhere.
 * The instructions name their tiles, so that the numbers passed must be literals. Who uses them asks the system once a
 * process (on Linux arch_prctl(ARCH_REQ_XCOMP_PERM, 18)); nothing here does. */
typedef struct tile_shapes { /* what ldtilecfg reads */
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tile_shapes;

#if defined(__AMX_BF16__) || defined(__AMX_INT8__) || defined(__AMXBF16__) || defined(__AMXINT8__) /* as clang had it */

typedef tile_shapes tiles;
#define TILES_BEGIN(t) __asm__ volatile("ldtilecfg %0" : : "m"(t))
#define TILES_END(t) __asm__ volatile("tilerelease" : : "m"(t))
#define TILE_ZERO(t, n) __asm__ volatile("tilezero %%tmm" #n : : "m"(t))
#define TILE_LOAD(t, n, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #n : : "r"(from), "r"((ptrdiff_t)(stride)) : "memory")
#define TILE_STORE(t, n, to, stride) \
    __asm__ volatile("tilestored %%tmm" #n ", (%0,%1,1)" : : "r"(to), "r"((ptrdiff_t)(stride)) : "memory")
#define TILE_DOT_BF16(t, c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : "m"(t))
#define TILE_DOT_INT8(t, c, a, b) __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : "m"(t))

#else

#define EMULATED __attribute__((unused)) static
typedef struct tiles {
    tile_shapes shapes;
    unsigned char data[8][16][64];
} tiles;

#define TILES_BEGIN(t) (t) = (tiles){(t).shapes, {{{0}}}}
#define TILES_END(t) (void)(t)
#define TILE_ZERO(t, n) __builtin_memset((t).data[n], 0, sizeof (t).data[n])
#define TILE_LOAD(t, n, from, stride) tile_load(&(t), n, from, stride)
#define TILE_STORE(t, n, to, stride) tile_store(&(t), n, to, stride)
#define TILE_DOT_BF16(t, c, a, b) tile_dot_bf16(&(t), c, a, b)
#define TILE_DOT_INT8(t, c, a, b) tile_dot_int8(&(t), c, a, b)

EMULATED void tile_load(tiles *t, int n, const void *from, int stride) {
    TILE_ZERO(*t, n);
    for (int row = 0; row < t->shapes.rows[n]; row++)
        __builtin_memcpy(t->data[n][row], (const unsigned char *)from + row * stride, t->shapes.bytes[n]);
}

EMULATED void tile_store(const tiles *t, int n, void *to, int stride) {
    for (int row = 0; row < t->shapes.rows[n]; row++)
        __builtin_memcpy((unsigned char *)to + row * stride, t->data[n][row], t->shapes.bytes[n]);
}

/* Numbers below the smallest normal one are 0, before and after every operation. */
EMULATED float tile_flushed(float x) { return x < 1.17549435e-38f && x > -1.17549435e-38f ? x * 0.0f : x; }

EMULATED float tile_element(const tiles *t, int n, int row, int i) {
    union {
        uint16_t halves[2];
        float value;
    } x = {{0, 0}};
    __builtin_memcpy(&x.halves[1], t->data[n][row] + 2 * i, 2); /* the upper half, as these machines store it */
    return tile_flushed(x.value);
}

/* c += a b. Even and odd products are summed apart, then their sum is added. A product of two bf16 is exact. */
EMULATED void tile_dot_bf16(tiles *t, int c, int a, int b) {
    for (int row = 0; row < t->shapes.rows[c]; row++)
        for (int n = 0; n < t->shapes.bytes[c] / 4; n++) {
            float even = 0.0f, odd = 0.0f, sum;
            for (int k = 0; k < t->shapes.bytes[a] / 4; k++) {
                even = tile_flushed(even + tile_element(t, a, row, 2 * k) * tile_element(t, b, k, 2 * n));
                odd = tile_flushed(odd + tile_element(t, a, row, 2 * k + 1) * tile_element(t, b, k, 2 * n + 1));
            }
            __builtin_memcpy(&sum, t->data[c][row] + 4 * n, 4);
            sum = tile_flushed(tile_flushed(sum) + tile_flushed(even + odd));
            __builtin_memcpy(t->data[c][row] + 4 * n, &sum, 4);
        }
}

/* c += a b, modulo 2^32: bytes of a without a sign, of b with one; four products at a time. */
EMULATED void tile_dot_int8(tiles *t, int c, int a, int b) {
    for (int row = 0; row < t->shapes.rows[c]; row++)
        for (int n = 0; n < t->shapes.bytes[c] / 4; n++) {
            int32_t sum = 0, before;
            for (int k = 0; k < t->shapes.bytes[a] / 4; k++)
                for (int i = 4 * k; i < 4 * k + 4; i++) {
                    int8_t weight;
                    __builtin_memcpy(&weight, &t->data[b][k][4 * n + i % 4], 1);
                    sum += t->data[a][row][i] * weight; /* at most 64 of them */
                }
            __builtin_memcpy(&before, t->data[c][row] + 4 * n, 4);
            (void)__builtin_add_overflow(before, sum, &sum);
            __builtin_memcpy(t->data[c][row] + 4 * n, &sum, 4);
        }
}

#endif
