/* kernel_avx2_group.h - one group of a panel as registers: a panel of 16
 * outputs is two sides of 8 lanes. A `format` known to the compiler costs
 * nothing. */
#ifndef CORRAL_ENGINE_KERNEL_AVX2_GROUP_H
#define CORRAL_ENGINE_KERNEL_AVX2_GROUP_H

#include "engine/kernel_avx2.h"
#include "engine/kernel_layout.h"

enum { PIECES = KERNEL_GROUP / 4, SIDES = KERNEL_PANEL / LANES };

/* The float side of a group, for 8 outputs:
 *     value = scale of the activation * dot product of half h * scale[h]
 *           + sum of the group * min[0] + sum of the second half * min[1]
 * Without halves only [0] is used. */
struct factors {
    __m256 scale[2];
    __m256 min[2];
};

/* `common` is the f16 numbers that a K format multiplies by. */
INLINE __m256 load_factor(bool super, const uint8_t *at, const uint8_t *common,
                          size_t side) {
    if (!super) return load_f16(at + 2 * LANES * side);
    return _mm256_mul_ps(
        load_f16(common + 2 * LANES * side),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(
            (const __m128i *)(const void *)(at + LANES * side)))));
}

/* The offset of the codes, if they still have one, goes into the min. */
INLINE struct factors load_factors(enum kernel_format format,
                                   const struct kernel_place *p, size_t side,
                                   int offset) {
    const struct kernel_layout l = kernel_layouts[format];
    const uint8_t *common_min = p->head + 2 * KERNEL_PANEL;
    struct factors f;

    UNROLL
    for (int h = 0; h < 2; h++) {
        f.scale[h] = f.min[h] = _mm256_setzero_ps();
        if (h && !l.halves) continue;
        f.scale[h] = load_factor(l.super, p->head + p->scale[h], p->head, side);
        if (l.min)
            f.min[h] =
                load_factor(l.super, p->head + p->min[h], common_min, side);
        if (offset)
            f.min[h] = _mm256_fnmadd_ps(
                f.scale[h], _mm256_set1_ps((float)offset), f.min[h]);
    }
    if (l.halves) f.min[1] = _mm256_sub_ps(f.min[1], f.min[0]);
    return f;
}

INLINE __m256i shift_bits(__m256i v, int right) {
    if (right > 0) return _mm256_srli_epi16(v, right);
    if (right < 0) return _mm256_slli_epi16(v, -right);
    return v;
}

/* code | the bits of `v` shifted right, where `mask` is set; what a shift
 * brings in from the next byte lies outside the mask. */
INLINE __m256i with_bits(__m256i code, __m256i v, int right, char mask) {
    return _mm256_or_si256(
        code, _mm256_and_si256(shift_bits(v, right), _mm256_set1_epi8(mask)));
}

/* The codes of one side of a group, inputs 4j to 4j+3 in code[j]. */
INLINE void load_codes(enum kernel_format format, const uint8_t *at,
                       size_t side, __m256i code[PIECES]) {
    const int bits = kernel_layouts[format].bits;
    const int extra = bits == 4 || bits == 8 ? 0
                      : bits == 5            ? 1
                      : bits == 3            ? 3
                                             : 2;
    __m256i more[3];

    at += 32 * side;
    UNROLL
    for (int j = 0; j < PIECES; j++) {
        code[j] = _mm256_setzero_si256();
        if (bits == 8) code[j] = load_bytes(at + KERNEL_LINE * j);
        if (bits >= 4 && bits < 8)
            code[j] = with_bits(code[j], load_bytes(at + KERNEL_LINE * (j % 4)),
                                j / 4 * 4, 15);
    }
    if (bits >= 4) at += 4 * KERNEL_LINE;
    UNROLL
    for (int i = 0; i < 3; i++)
        more[i] = i < extra ? load_bytes(at + KERNEL_LINE * i)
                            : _mm256_setzero_si256();
    UNROLL
    for (int j = 0; j < PIECES; j++) {
        if (bits == 5) code[j] = with_bits(code[j], more[0], j - 4, 0x10);
        if (bits == 6)
            code[j] = with_bits(code[j], more[j / 4], j % 4 * 2 - 4, 0x30);
        if (bits <= 3)
            code[j] = with_bits(code[j], more[j / 4], j % 4 * 2, 0x03);
        if (bits == 3) code[j] = with_bits(code[j], more[2], j - 2, 0x04);
    }
}

#endif
