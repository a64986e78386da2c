/* kernel_avx512_group.h - one group of a panel as registers: 16 outputs are
 * one register, and a `format` known to the compiler costs nothing. */
#ifndef CORRAL_ENGINE_KERNEL_AVX512_GROUP_H
#define CORRAL_ENGINE_KERNEL_AVX512_GROUP_H

#include "engine/kernel_avx512.h"
#include "engine/kernel_layout.h"

enum { PIECES = KERNEL_GROUP / 4 };

/* Dot products are summed on top of the bits of this float, 1.5 * 2^23: as a
 * float the sum is then 1.5 * 2^23 + dot, exactly, since a dot product stays
 * below 2^20; which saves the conversion. */
#define DOT_ZERO 12582912.0f

/* The float side of a group. For an output, with f = DOT_ZERO + dot and s the
 * scale and sums of the activation,
 *     value = s * (f * scale[h] + less[h]) of each half h
 *           + sum of the group * min[0] + sum of the second half * min[1]
 * Without halves only [0] is used. */
struct factors {
    __m512 scale[2];
    __m512 less[2];
    __m512 min[2];
};

/* The common factors of a block of a K format. */
struct common {
    __m512 scale;
    __m512 min;
};

INLINE struct common load_common(enum kernel_format format,
                                 const uint8_t *head) {
    const struct kernel_layout l = kernel_layouts[format];
    struct common c = {_mm512_setzero_ps(), _mm512_setzero_ps()};

    if (l.super) c.scale = load_f16(head);
    if (l.super && l.min) c.min = load_f16(head + 2 * KERNEL_PANEL);
    return c;
}

INLINE __m512 load_factor(bool super, const uint8_t *at, __m512 common) {
    if (!super) return load_f16(at);
    return _mm512_mul_ps(
        common, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
                    _mm_loadu_si128((const __m128i *)(const void *)at))));
}

/* The offset of the codes goes into the min. */
INLINE struct factors load_factors(enum kernel_format format,
                                   const struct kernel_place *p,
                                   const struct common *common) {
    const struct kernel_layout l = kernel_layouts[format];
    const __m512 zero = _mm512_set1_ps(-DOT_ZERO);
    const __m512 offset = _mm512_set1_ps(-(float)l.offset);
    struct factors f;

    for (int h = 0; h < (l.halves ? 2 : 1); h++) {
        f.scale[h] = load_factor(l.super, p->head + p->scale[h], common->scale);
        f.less[h] = _mm512_mul_ps(f.scale[h], zero);
        f.min[h] = _mm512_setzero_ps();
        if (l.min)
            f.min[h] = load_factor(l.super, p->head + p->min[h], common->min);
        if (l.offset) f.min[h] = _mm512_fmadd_ps(f.scale[h], offset, f.min[h]);
    }
    if (l.halves) f.min[1] = _mm512_sub_ps(f.min[1], f.min[0]);
    return f;
}

/* Registers of a group that was unpacked: its codes, then store_factors(). */
INLINE size_t group_registers(bool halves) {
    return PIECES + (halves ? 6 : 3);
}

INLINE void store_factors(bool halves, const struct factors *f, __m512i *out) {
    for (int h = 0; h < (halves ? 2 : 1); h++) {
        out[3 * h] = _mm512_castps_si512(f->scale[h]);
        out[3 * h + 1] = _mm512_castps_si512(f->less[h]);
        out[3 * h + 2] = _mm512_castps_si512(f->min[h]);
    }
}

INLINE __m512i shift_bits(__m512i v, int right) {
    if (right > 0) return _mm512_srli_epi16(v, right);
    if (right < 0) return _mm512_slli_epi16(v, -right);
    return v;
}

/* code | the bits of `v` shifted right, where `mask` is set; what a shift
 * brings in from the next byte lies outside the mask. */
INLINE __m512i with_bits(__m512i code, __m512i v, int right, char mask) {
    return _mm512_ternarylogic_epi64(code, shift_bits(v, right),
                                     _mm512_set1_epi8(mask), 0xf8);
}

/* The eight registers of codes of a group, inputs 4j to 4j+3 in code[j]. */
INLINE void load_codes(enum kernel_format format, const uint8_t *at,
                       __m512i code[PIECES]) {
    const int bits = kernel_layouts[format].bits;
    const __m512i nibble = _mm512_set1_epi8(15);
    const int extra = bits == 5 ? 1 : bits == 3 ? 3 : 2;
    __m512i more[3];

    if (bits == 8) {
        UNROLL
        for (int j = 0; j < PIECES; j++)
            code[j] = _mm512_loadu_si512(at + 64 * j);
        return;
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        code[j] = code[j + 4] = _mm512_setzero_si512();
        if (bits < 4) continue;
        code[j + 4] = _mm512_loadu_si512(at + 64 * j);
        code[j] = _mm512_and_si512(code[j + 4], nibble);
        code[j + 4] =
            _mm512_and_si512(_mm512_srli_epi16(code[j + 4], 4), nibble);
    }
    if (bits == 4) return;
    if (bits > 4) at += 256;
    UNROLL
    for (int i = 0; i < extra; i++) more[i] = _mm512_loadu_si512(at + 64 * i);
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
