/* Images of floats. */
#define ELEMENT float
INLINE vec@ image_load@(const float *p) { return load@(p); }
INLINE void image_store@(float *p, vec@ v) { store@(p, v); }
