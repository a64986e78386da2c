/* kernel_layout.h - where the numbers of a panel of 16 output rows lie. Shared
 * by the packer and every table; all inline, so that a format known to the
 * compiler costs nothing.
 *
 * A panel is a stream of blocks of up to 8 groups of 32 inputs; only the last
 * has fewer. A block has a head and then the codes of its groups, each part
 * beginning at a multiple of 64 bytes:
 *
 *   plain:  f16 scale[group][16], f16 min[group][16] if the format has mins
 *   K:      f16 scale[16], f16 min[16] if the format has mins,
 *           int8 step[group][half][16], int8 step_min[group][half][16] if ...
 *
 * With a K format a scale is scale * step, a min is min * step_min; `half` has
 * one value unless the halves of a group of 32 differ. Codes are interleaved
 * so that a 32-bit lane holds 4 successive inputs of one output row. With code
 * = code[r][4j + i], bytes 4r + i of these pieces of 64 bytes hold:
 *
 *   8 bits    piece j: code                                   8 pieces
 *   4 bits    piece j: code | code[r][16 + 4j + i] << 4       4 pieces
 *   5 bits    its low 4 bits as above, then one piece in which
 *             bit j is the fifth bit
 *   6 bits    its low 4 bits as above, then two pieces: bits 2(j % 4) and
 *             the next of piece j / 4 are the fifth and sixth
 *   2 bits    the two pieces of pairs alone
 *   3 bits    the pairs, and the piece of single bits for the third */
#ifndef CORRAL_ENGINE_KERNEL_LAYOUT_H
#define CORRAL_ENGINE_KERNEL_LAYOUT_H

#include "engine/kernel.h"

enum { KERNEL_BLOCK = 8 /* groups */, KERNEL_LINE = 64 /* bytes */ };

struct kernel_layout {
    unsigned char bits;   /* of a code: 2, 3, 4, 5, 6 or 8 */
    unsigned char offset; /* a code of this value is zero, but for the min */
    bool halves;          /* the halves of a group have scales of their own */
    bool min;
    bool super; /* a K format */
};

static const struct kernel_layout kernel_layouts[KERNEL_FORMATS] = {
    [KERNEL_Q4] = {4, 8, false, false, false},
    [KERNEL_Q4_MIN] = {4, 0, false, true, false},
    [KERNEL_Q5] = {5, 16, false, false, false},
    [KERNEL_Q5_MIN] = {5, 0, false, true, false},
    [KERNEL_Q8] = {8, 128, false, false, false},
    [KERNEL_Q2_K] = {2, 0, true, true, true},
    [KERNEL_Q3_K] = {3, 4, true, false, true},
    [KERNEL_Q4_K] = {4, 0, false, true, true},
    [KERNEL_Q5_K] = {5, 0, false, true, true},
    [KERNEL_Q6_K] = {6, 32, true, false, true},
};

/* Bytes of the codes of one group. */
static inline size_t kernel_code_bytes(enum kernel_format format) {
    return (size_t)KERNEL_LINE * kernel_layouts[format].bits;
}

/* Bytes of the head of a block of `count` groups. */
static inline size_t kernel_head_bytes(enum kernel_format format,
                                       size_t count) {
    const struct kernel_layout *l = &kernel_layouts[format];
    size_t kinds = l->min ? 2 : 1;
    size_t halves = l->halves ? 2 : 1;
    size_t bytes = l->super ? (2 + halves * count) * kinds * KERNEL_PANEL
                            : 2 * count * kinds * KERNEL_PANEL;

    return (bytes + KERNEL_LINE - 1) / KERNEL_LINE * KERNEL_LINE;
}

static inline size_t kernel_block_bytes(enum kernel_format format,
                                        size_t count) {
    return kernel_head_bytes(format, count) + count * kernel_code_bytes(format);
}

static inline size_t kernel_panel_bytes(enum kernel_format format,
                                        size_t groups) {
    size_t rest = groups % KERNEL_BLOCK;

    return groups / KERNEL_BLOCK * kernel_block_bytes(format, KERNEL_BLOCK) +
           (rest ? kernel_block_bytes(format, rest) : 0);
}

/* Groups in the block that holds group `g`. */
static inline size_t kernel_block_count(size_t groups, size_t g) {
    size_t left = groups - g / KERNEL_BLOCK * KERNEL_BLOCK;

    return left < KERNEL_BLOCK ? left : KERNEL_BLOCK;
}

/* One group of a panel: its numbers are at `head` + these offsets. */
struct kernel_place {
    const uint8_t *head;     /* of the block */
    const uint8_t *codes;    /* of the group */
    size_t scale[2], min[2]; /* f16 or int8, 16 of them; [1] is that of the
                              * second half, the same unless they differ */
};

static inline struct kernel_place kernel_place(enum kernel_format format,
                                               const uint8_t *panel,
                                               size_t groups, size_t g) {
    const struct kernel_layout *l = &kernel_layouts[format];
    size_t count = kernel_block_count(groups, g);
    size_t index = g % KERNEL_BLOCK;
    size_t halves = l->halves ? 2 : 1;
    size_t kinds = l->min ? 2 : 1;
    size_t first = l->super ? 2 * kinds * KERNEL_PANEL : 0;
    size_t each = l->super ? halves * KERNEL_PANEL : 2 * KERNEL_PANEL;
    struct kernel_place p;

    p.head =
        panel + g / KERNEL_BLOCK * kernel_block_bytes(format, KERNEL_BLOCK);
    p.codes = p.head + kernel_head_bytes(format, count) +
              index * kernel_code_bytes(format);
    p.scale[0] = first + index * each;
    p.min[0] = p.scale[0] + count * each;
    p.scale[1] = p.scale[0] + (l->halves ? KERNEL_PANEL : 0);
    p.min[1] = p.min[0] + (l->halves ? KERNEL_PANEL : 0);
    return p;
}

#endif
