/* kernel_neon_group.h - one group of a panel as registers: a panel of 16
 * outputs is four quarters of 4 lanes. A `format` known to the compiler costs
 * nothing. */
#ifndef CORRAL_ENGINE_KERNEL_NEON_GROUP_H
#define CORRAL_ENGINE_KERNEL_NEON_GROUP_H

#include "engine/kernel_layout.h"
#include "engine/kernel_neon.h"

enum { PIECES = KERNEL_GROUP / 4 };

/* The float side of a group, for 4 outputs:
 *     value = scale of the activation * dot product of half h * scale[h]
 *           + sum of the group * min[0] + sum of the second half * min[1]
 * Without halves only [0] is used. */
struct factors {
    float32x4_t scale[2];
    float32x4_t min[2];
};

/* Codes of 8 bits with offset 128 are turned into int8, and nothing is left to
 * take off; the others are below 64, and int8 as they are. */
INLINE bool is_centred(enum kernel_format format) {
    return kernel_layouts[format].bits == 8;
}

/* What is left to take off of the codes. */
INLINE int offset_of(enum kernel_format format) {
    return is_centred(format) ? 0 : kernel_layouts[format].offset;
}

/* `common` is the f16 numbers that a K format multiplies by. */
INLINE float32x4_t load_factor(bool super, const uint8_t *at,
                               const uint8_t *common, size_t r) {
    int32_t four;
    int16x8_t steps;

    if (!super) return load_f16(at + 2 * LANES * r);
    memcpy(&four, at + LANES * r, sizeof four);
    steps = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(steps))),
                     load_f16(common + 2 * LANES * r));
}

/* Those of quarter r. The offset of the codes, if they still have one, goes
 * into the min. */
INLINE struct factors load_factors(enum kernel_format format,
                                   const struct kernel_place *p, size_t r) {
    const struct kernel_layout l = kernel_layouts[format];
    const uint8_t *common_min = p->head + 2 * KERNEL_PANEL;
    const int offset = offset_of(format);
    struct factors f;

    UNROLL
    for (int h = 0; h < 2; h++) {
        f.scale[h] = f.min[h] = vdupq_n_f32(0);
        if (h && !l.halves) continue;
        f.scale[h] = load_factor(l.super, p->head + p->scale[h], p->head, r);
        if (l.min)
            f.min[h] = load_factor(l.super, p->head + p->min[h], common_min, r);
        if (offset) f.min[h] = vfmsq_n_f32(f.min[h], f.scale[h], (float)offset);
    }
    if (l.halves) f.min[1] = vsubq_f32(f.min[1], f.min[0]);
    return f;
}

INLINE uint8x16_t shift_bits(uint8x16_t v, int right) {
    return right >= 0 ? v >> (uint8_t)right : v << (uint8_t)-right;
}

/* code | the bits of `v` shifted right, where `mask` is set */
INLINE uint8x16_t with_bits(uint8x16_t code, uint8x16_t v, int right,
                            uint8_t mask) {
    return vorrq_u8(code, vandq_u8(shift_bits(v, right), vdupq_n_u8(mask)));
}

/* The codes of quarter r of a group: inputs 4j to 4j+3 in code[j], four to a
 * lane. */
INLINE void load_codes(enum kernel_format format, const uint8_t *at, size_t r,
                       int8x16_t code[PIECES]) {
    const int bits = kernel_layouts[format].bits;
    const uint8_t *more = at + 16 * r + (bits > 4 ? 4 * KERNEL_LINE : 0);
    uint8x16_t extra[3];

    at += 16 * r;
    UNROLL
    for (int i = 0; i < 3; i++)
        extra[i] = bits == 4 || bits == 8 || (bits == 5 && i > 0) ||
                           (bits != 3 && i > 1)
                       ? vdupq_n_u8(0)
                       : vld1q_u8(more + i * KERNEL_LINE);
    UNROLL
    for (int j = 0; j < PIECES; j++) {
        uint8x16_t v = vdupq_n_u8(0);

        if (bits == 8)
            v = veorq_u8(vld1q_u8(at + j * KERNEL_LINE), vdupq_n_u8(128));
        else if (bits >= 4)
            v = vld1q_u8(at + j % 4 * KERNEL_LINE);
        if (bits >= 4 && bits < 8)
            v = j < 4 ? vandq_u8(v, vdupq_n_u8(15)) : vshrq_n_u8(v, 4);
        if (bits == 5) v = with_bits(v, extra[0], j - 4, 0x10);
        if (bits == 6) v = with_bits(v, extra[j / 4], j % 4 * 2 - 4, 0x30);
        if (bits <= 3) v = with_bits(v, extra[j / 4], j % 4 * 2, 0x03);
        if (bits == 3) v = with_bits(v, extra[2], j - 2, 0x04);
        code[j] = vreinterpretq_s8_u8(v);
    }
}

#endif
