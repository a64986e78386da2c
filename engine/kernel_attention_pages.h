/* kernel_attention_pages.h - the walk over the pages of K and V for the tables
 * that compute in f32: a page is unpacked once for all queries, as the F32 type
 * lays it out. The file that includes it says how:
 *
 *   SCORES_TILE, MIX_TILE       queries that share one reading of a page
 *   unpack_k(), unpack_v()      a page as floats
 *   SCORES_WIDE, scores_tile()  so many positions for some queries
 *   mix_tile()                  16 dimensions for some queries */
#ifndef CORRAL_ENGINE_KERNEL_ATTENTION_PAGES_H
#define CORRAL_ENGINE_KERNEL_ATTENTION_PAGES_H

#include <string.h>

#include "engine/kernel.h"

INLINE void scores(enum kernel_kv type, const float *q, size_t queries,
                   size_t head, const void *const *k, size_t pages, float *out,
                   size_t out_stride) {
    float page[KERNEL_HEAD_MAX * KERNEL_POSITIONS];

    for (size_t i = 0; i < pages; i++) {
        unpack_k(type, k[i], head, page);
        for (size_t from = 0; from < KERNEL_POSITIONS; from += SCORES_WIDE) {
            size_t a = 0;

            for (; queries - a >= SCORES_TILE; a += SCORES_TILE)
                scores_tile(q + a * head, SCORES_TILE, head, page + from,
                            out + a * out_stride, out_stride);
            for (; a < queries; a++)
                scores_tile(q + a * head, 1, head, page + from,
                            out + a * out_stride, out_stride);
            out += SCORES_WIDE;
        }
    }
}

INLINE void mix(enum kernel_kv type, const float *p, size_t p_stride,
                size_t queries, const void *const *v, size_t count, size_t head,
                float *out) {
    float page[KERNEL_HEAD_MAX * KERNEL_POSITIONS];

    memset(out, 0, queries * head * sizeof *out);
    for (size_t i = 0; i < count;
         i += KERNEL_POSITIONS, p += KERNEL_POSITIONS) {
        size_t n = count - i < KERNEL_POSITIONS ? count - i : KERNEL_POSITIONS;

        unpack_v(type, *v++, n, head, page);
        for (size_t d = 0; d < head; d += KERNEL_PANEL) {
            size_t a = 0;

            for (; queries - a >= MIX_TILE; a += MIX_TILE)
                mix_tile(p + a * p_stride, p_stride, MIX_TILE, page + d, n,
                         head, out + a * head + d);
            for (; a < queries; a++)
                mix_tile(p + a * p_stride, p_stride, 1, page + d, n, head,
                         out + a * head + d);
        }
    }
}

#endif
