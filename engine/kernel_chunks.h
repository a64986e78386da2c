/* kernel_chunks.h - gemm_q() for the tables that take a panel in chunks: a few
 * rows read it as it is, more of them share an unpacked copy of a chunk. A
 * row's numbers are added in the same order either way: chunk by chunk, each
 * followed by its spills. The file that includes it says how:
 *
 *   CHUNK, ROWS_FEW             groups, and rows that need no copy
 *   struct group, unpack()      a chunk's groups, unpacked
 *   few()                       1 or ROWS_FEW rows
 *   TILES_4, TILES_4_HALVES, tiles_5(), tiles_8(), tiles_6_halves()
 *                               all rows, by bits of a code and by whether the
 *                               halves of a group have scales of their own */
#ifndef CORRAL_ENGINE_KERNEL_CHUNKS_H
#define CORRAL_ENGINE_KERNEL_CHUNKS_H

#include "engine/kernel.h"
#include "engine/kernel_layout.h"

typedef void tiles_function(const struct group *w, const struct kernel_input *x,
                            size_t from, size_t end, float *out,
                            size_t out_stride, size_t lanes, bool add);

INLINE void gemm(enum kernel_format format, tiles_function *tiles,
                 const uint8_t *w, size_t columns, const struct kernel_input *x,
                 float *out, size_t out_stride, bool add) {
    size_t panel_bytes = kernel_panel_bytes(format, x->groups);
    struct group room[CHUNK];

    for (size_t c = 0; c < columns; c += KERNEL_PANEL, w += panel_bytes) {
        for (size_t from = 0; from < x->groups; from += CHUNK) {
            size_t end = x->groups - from < CHUNK ? x->groups : from + CHUNK;
            bool more = add || from > 0;

            if (x->rows == 1) {
                few(format, w, x, 1, from, end, out + c, out_stride,
                    columns - c, more);
            } else if (x->rows == ROWS_FEW) {
                few(format, w, x, ROWS_FEW, from, end, out + c, out_stride,
                    columns - c, more);
            } else {
                unpack(format, w, x->groups, from, end, room);
                tiles(room, x, from, end, out + c, out_stride, columns - c,
                      more);
            }
        }
    }
}

/* A function for each format, so that the loops above are compiled for it. */
#define FORMAT(name, format, tiles)                                            \
    static void name(const uint8_t *w, size_t columns,                         \
                     const struct kernel_input *x, float *out,                 \
                     size_t out_stride, bool add) {                            \
        gemm(format, tiles, w, columns, x, out, out_stride, add);              \
    }

FORMAT(q4, KERNEL_Q4, TILES_4)
FORMAT(q4_min, KERNEL_Q4_MIN, TILES_4)
FORMAT(q5, KERNEL_Q5, tiles_5)
FORMAT(q5_min, KERNEL_Q5_MIN, tiles_5)
FORMAT(q8, KERNEL_Q8, tiles_8)
FORMAT(q2_k, KERNEL_Q2_K, TILES_4_HALVES)
FORMAT(q3_k, KERNEL_Q3_K, TILES_4_HALVES)
FORMAT(q4_k, KERNEL_Q4_K, TILES_4)
FORMAT(q5_k, KERNEL_Q5_K, tiles_5)
FORMAT(q6_k, KERNEL_Q6_K, tiles_6_halves)

static void gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add) {
    static void (*const each[KERNEL_FORMATS])(const uint8_t *, size_t,
                                              const struct kernel_input *,
                                              float *, size_t, bool) = {
        [KERNEL_Q4] = q4,     [KERNEL_Q4_MIN] = q4_min,
        [KERNEL_Q5] = q5,     [KERNEL_Q5_MIN] = q5_min,
        [KERNEL_Q8] = q8,     [KERNEL_Q2_K] = q2_k,
        [KERNEL_Q3_K] = q3_k, [KERNEL_Q4_K] = q4_k,
        [KERNEL_Q5_K] = q5_k, [KERNEL_Q6_K] = q6_k,
    };

    each[format](w, columns, x, out, out_stride, add);
}

#endif
