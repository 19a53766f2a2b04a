/* Four bytes as whole numbers. */
INLINE ints4 widen4(const uint8_t *p) { return (ints4){p[0], p[1], p[2], p[3]}; }
