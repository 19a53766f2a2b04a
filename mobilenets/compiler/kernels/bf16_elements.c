/* Images of bf16. */
#define ELEMENT uint16_t
INLINE vec@ image_load@(const uint16_t *p) { return widen@(*(const halves@ *)p); }
INLINE void image_store@(uint16_t *p, vec@ v) { put@(p, 0, v, 2); }
