/* kernel_unpack.h - a group of a panel as bytes and floats, in plain C: for
 * the scalar table, and for others where it is not what takes the time. */
#ifndef CORRAL_ENGINE_KERNEL_UNPACK_H
#define CORRAL_ENGINE_KERNEL_UNPACK_H

#include <string.h>

#include "engine/kernel_layout.h"
#include "engine/quant.h"

enum { KERNEL_PIECES = KERNEL_GROUP / 4 };

/* code[j][4r + i] is that of input 4j + i of output r. */
typedef uint8_t kernel_codes[KERNEL_PIECES][KERNEL_LINE];

static inline void kernel_unpack_codes(enum kernel_format format,
                                       const uint8_t *restrict at,
                                       kernel_codes out) {
    int bits = kernel_layouts[format].bits;
    bool nibbles = bits >= 4;
    const uint8_t *more = nibbles ? at + 4 * KERNEL_LINE : at;

    if (bits == 8) {
        memcpy(out, at, sizeof(kernel_codes));
        return;
    }
    for (int j = 0; j < KERNEL_PIECES; j++) {
        const uint8_t *low = at + j % 4 * KERNEL_LINE;
        const uint8_t *pairs = more + j / 4 * KERNEL_LINE;
        const uint8_t *single = bits == 3 ? more + 2 * KERNEL_LINE : more;

        for (int i = 0; i < KERNEL_LINE; i++) {
            int code = nibbles ? low[i] >> (j / 4 * 4) & 15 : 0;

            if (bits == 6) code |= (pairs[i] >> (j % 4 * 2) & 3) << 4;
            if (bits <= 3) code |= pairs[i] >> (j % 4 * 2) & 3;
            if (bits == 5) code |= (single[i] >> j & 1) << 4;
            if (bits == 3) code |= (single[i] >> j & 1) << 2;
            out[j][i] = (uint8_t)code;
        }
    }
}

static inline float kernel_f16(const uint8_t *at, size_t index) {
    uint16_t half;

    memcpy(&half, at + 2 * index, sizeof half);
    return quant_from_f16(half);
}

/* The scale of output `r` in a half of a group. */
static inline float kernel_scale(enum kernel_format format,
                                 const struct kernel_place *p, size_t half,
                                 size_t r) {
    const uint8_t *at = p->head + p->scale[half];

    if (!kernel_layouts[format].super) return kernel_f16(at, r);
    return kernel_f16(p->head, r) * (float)(int8_t)at[r];
}

static inline float kernel_min(enum kernel_format format,
                               const struct kernel_place *p, size_t half,
                               size_t r) {
    const uint8_t *at = p->head + p->min[half];

    if (!kernel_layouts[format].min) return 0;
    if (!kernel_layouts[format].super) return kernel_f16(at, r);
    return kernel_f16(p->head + 2 * KERNEL_PANEL, r) * (float)(int8_t)at[r];
}

#endif
