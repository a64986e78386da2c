/* The AVX-512 table: rows of floats and attention. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx512.h"
#include "engine/kernel_layout.h"

#include <math.h>

enum {
    TILE = 8, /* queries that share one reading of a page */
    WIDE = 2, /* registers of dimensions */
    CODES_SUM = (1 << 18) - KERNEL_HEAD_MAX
};

float avx512_dot(const float *a, const float *b, size_t n) {
    __m512 total[4];
    size_t i = 0;

    for (int j = 0; j < 4; j++) total[j] = _mm512_setzero_ps();
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            total[j] =
                _mm512_fmadd_ps(_mm512_loadu_ps(a + i + j * LANES),
                                _mm512_loadu_ps(b + i + j * LANES), total[j]);
    for (; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);

        total[0] =
            _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i),
                            _mm512_maskz_loadu_ps(mask, b + i), total[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(
        _mm512_add_ps(total[0], total[1]), _mm512_add_ps(total[2], total[3])));
}

void avx512_rmsnorm(const float *x, const float *w, size_t n, float epsilon,
                    float *out) {
    __m512 scale =
        _mm512_set1_ps(1.0f / sqrtf(avx512_dot(x, x, n) / (float)n + epsilon));

    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale);

        _mm512_mask_storeu_ps(
            out + i, mask,
            _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, w + i)));
    }
}

/* e^x to two units in the last place: x = n ln 2 + r, a polynomial for e^r
 * (Cephes' expf), and scalef, which overflows and underflows as it should. */
INLINE __m512 exp512(__m512 x) {
    __m512 n = _mm512_roundscale_ps(
        _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)),
        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    __m512 y = _mm512_set1_ps(1.9875691500e-4f);

    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.3981999507e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(8.3334519073e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(4.1665795894e-2f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.6666665459e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.0000001201e-1f));
    y = _mm512_fmadd_ps(_mm512_mul_ps(r, r), y, r);
    return _mm512_scalef_ps(_mm512_add_ps(y, _mm512_set1_ps(1.0f)), n);
}

/* Beyond these e^x is infinite or zero in a float; and an infinite x would
 * make the remainder above a NaN. */
INLINE __m512 exp_bounded(__m512 x) {
    x = _mm512_min_ps(_mm512_set1_ps(128.0f), x);
    return exp512(_mm512_max_ps(_mm512_set1_ps(-128.0f), x));
}

void avx512_silu_mul(float *gate, const float *up, size_t n) {
    const __m512 one = _mm512_set1_ps(1.0f);

    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
        __m512 u = _mm512_maskz_loadu_ps(mask, up + i);
        __m512 e = exp_bounded(_mm512_sub_ps(_mm512_setzero_ps(), g));

        g = _mm512_div_ps(g, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(gate + i, mask, _mm512_mul_ps(g, u));
    }
}

void avx512_rope(float *x, const float *turns, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        __m512 t = _mm512_maskz_loadu_ps(mask, turns + i);
        __m512 crossed =
            _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), _mm512_movehdup_ps(t));

        /* Subtracts in even lanes, adds in odd ones. */
        v = _mm512_fmaddsub_ps(v, _mm512_moveldup_ps(t), crossed);
        _mm512_mask_storeu_ps(x + i, mask, v);
    }
}

/* e^(x - top), where no x is above `top`. */
INLINE __m512 exp_below(__m512 x, __m512 top) {
    return exp512(
        _mm512_max_ps(_mm512_set1_ps(-128.0f), _mm512_sub_ps(x, top)));
}

float avx512_soften(float *x, size_t n, float *most) {
    const size_t whole = n / LANES * LANES;
    const __mmask16 rest = lanes_below(n - whole);
    __m512 last = _mm512_maskz_loadu_ps(rest, x + whole);
    __m512 top = _mm512_set1_ps(-INFINITY);
    __m512 total = _mm512_setzero_ps();

    for (size_t i = 0; i < whole; i += LANES)
        top = _mm512_max_ps(top, _mm512_loadu_ps(x + i));
    top = _mm512_mask_max_ps(top, rest, top, last);
    *most = _mm512_reduce_max_ps(top);
    top = _mm512_set1_ps(*most);
    for (size_t i = 0; i < whole; i += LANES) {
        __m512 v = exp_below(_mm512_loadu_ps(x + i), top);

        total = _mm512_add_ps(total, v);
        _mm512_storeu_ps(x + i, v);
    }
    last = exp_below(last, top);
    total = _mm512_mask_add_ps(total, rest, total, last);
    _mm512_mask_storeu_ps(x + whole, rest, last);
    return _mm512_reduce_add_ps(total);
}

/* Attention in 16-bit integers, whose products are summed two at a time in 32
 * bits: four times as fast as bf16's on Sapphire Rapids, and more exact. A sum
 * must fit, and a code of K or V is at most KERNEL_CODE_MAX: so those of a
 * query, or of its weights, sum up to less than 2^18. */

/* What the codes of some numbers must not pass: the largest of them and their
 * sum, without signs, each in lanes yet. */
struct bounds {
    __m512 top;
    __m512 all;
};

INLINE void bounds_add(struct bounds *b, __m512 without_sign) {
    b->top = _mm512_max_ps(without_sign, b->top);
    b->all = _mm512_add_ps(without_sign, b->all);
}

/* What a code of x[n] is worth; n is a multiple of 16. A number that is not
 * finite makes it one that is not, either. */
INLINE float codes_within(const struct bounds *b, const float *x, size_t n,
                          int16_t *out) {
    float most = _mm512_reduce_max_ps(b->top);
    float sum = _mm512_reduce_add_ps(b->all);
    __m512 times;
    float scale;

    if (sum < 1e-30f) {
        memset(out, 0, n * sizeof *out);
        return 0;
    }
    scale = (float)CODES_SUM / sum;
    if (INT16_MAX / most < scale) scale = INT16_MAX / most;
    times = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += LANES)
        _mm256_storeu_si256((__m256i *)(void *)(out + i),
                            _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(
                                _mm512_mul_ps(_mm512_loadu_ps(x + i), times))));
    return 1.0f / scale;
}

INLINE float codes_of(const float *x, size_t n, int16_t *out) {
    struct bounds b = {_mm512_setzero_ps(), _mm512_setzero_ps()};

    for (size_t i = 0; i < n; i += LANES)
        bounds_add(&b, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    return codes_within(&b, x, n, out);
}

/* The scales of 16 positions from `at` on, for dimension `d`. */
INLINE __m512 load_scales(enum kernel_kv type, const void *page, size_t head,
                          size_t d, size_t at) {
    const void *scales = kernel_kv_scales(type, page, head, d);

    if (type == KERNEL_KV_I16)
        return _mm512_loadu_ps((const float *)scales + at);
    return load_f16((const uint16_t *)scales + at);
}

/* Pages lie far apart, so the processor does not see the next one coming. */
INLINE void fetch(enum kernel_kv type, const void *page, size_t head) {
    size_t bytes = kernel_kv_bytes(type, head);

    for (size_t i = 0; i < bytes; i += KERNEL_LINE)
        _mm_prefetch((const char *)page + i, _MM_HINT_T1);
}

INLINE __m512i load_codes16(const void *at) {
    return _mm512_loadu_si512(at);
}

/* `count` codes of a page as 16 bits each, count a multiple of 32. */
INLINE void widen(const int8_t *code, size_t count, int16_t *out) {
    for (size_t i = 0; i < count; i += 2 * LANES)
        _mm512_storeu_si512(out + i,
                            _mm512_cvtepi8_epi16(_mm256_loadu_si256(
                                (const __m256i *)(const void *)(code + i))));
}

INLINE __m512 worth(__m512i total, __m512 scale, float back) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(total),
                         _mm512_mul_ps(scale, _mm512_set1_ps(back)));
}

/* All positions of a page for `tile` queries at once, over `width` of the
 * dimensions; k and q begin with the first of them. */
INLINE void scores_tile(const int16_t *q, const float *back, size_t tile,
                        size_t head, size_t width, const int16_t *k,
                        const __m512 scale[2], float *out, size_t out_stride,
                        bool add) {
    __m512i total[TILE][2];

    UNROLL
    for (size_t a = 0; a < tile; a++)
        total[a][0] = total[a][1] = _mm512_setzero_si512();
    for (size_t d = 0; d < width; d += 2) {
        __m512i low = load_codes16(k + d * KERNEL_POSITIONS);
        __m512i high = load_codes16(k + (d + 1) * KERNEL_POSITIONS);

        UNROLL
        for (size_t a = 0; a < tile; a++) {
            __m512i pair = spread(q + a * head + d);

            total[a][0] = _mm512_dpwssd_epi32(total[a][0], low, pair);
            total[a][1] = _mm512_dpwssd_epi32(total[a][1], high, pair);
        }
    }
    UNROLL
    for (size_t a = 0; a < tile; a++) {
        finish(out + a * out_stride, worth(total[a][0], scale[0], back[a]),
               0xffff, add);
        finish(out + a * out_stride + LANES,
               worth(total[a][1], scale[1], back[a]), 0xffff, add);
    }
}

/* Where the numbers of some V lie, as 16 bits each. */
struct values {
    const int16_t *page[KERNEL_SPAN / KERNEL_POSITIONS];
    size_t stride; /* codes from a pair of positions to the next */
};

/* 32 dimensions, or the 16 that are left, of the first `count` positions, for
 * `tile` queries; `at` is the first dimension's place in a pair. */
INLINE void mix_tile(const int16_t *p, const float *back, size_t tile,
                     const struct values *v, size_t at, size_t wide,
                     size_t count, float *out, size_t head) {
    __m512i total[TILE][WIDE];

    UNROLL
    for (size_t a = 0; a < tile; a++) {
        UNROLL
        for (size_t j = 0; j < wide; j++) total[a][j] = _mm512_setzero_si512();
    }
    for (size_t i = 0; i < count; i += 2) {
        const int16_t *line = v->page[i / KERNEL_POSITIONS] +
                              i % KERNEL_POSITIONS / 2 * v->stride + at;
        __m512i value[WIDE];

        UNROLL
        for (size_t j = 0; j < wide; j++)
            value[j] = load_codes16(line + 2 * LANES * j);
        UNROLL
        for (size_t a = 0; a < tile; a++) {
            __m512i pair = spread(p + a * KERNEL_SPAN + i);

            UNROLL
            for (size_t j = 0; j < wide; j++)
                total[a][j] = _mm512_dpwssd_epi32(total[a][j], value[j], pair);
        }
    }
    UNROLL
    for (size_t a = 0; a < tile; a++) {
        UNROLL
        for (size_t j = 0; j < wide; j++)
            _mm512_storeu_ps(out + a * head + LANES * j,
                             worth(total[a][j], _mm512_set1_ps(1), back[a]));
    }
}

/* Runs CALL(n), which handles n queries from `a` on; a literal n lets the
 * compiler keep the sums in registers. */
#define EACH_TILE(queries, CALL)                                               \
    for (size_t a = 0; a < (queries);) {                                       \
        size_t left = (queries)-a;                                             \
                                                                               \
        if (left % 6 == 0) {                                                   \
            CALL(6);                                                           \
            a += 6;                                                            \
        } else if (left >= 8) {                                                \
            CALL(8);                                                           \
            a += 8;                                                            \
        } else if (left >= 4) {                                                \
            CALL(4);                                                           \
            a += 4;                                                            \
        } else if (left == 3) {                                                \
            CALL(3);                                                           \
            a += 3;                                                            \
        } else if (left == 2) {                                                \
            CALL(2);                                                           \
            a += 2;                                                            \
        } else {                                                               \
            CALL(1);                                                           \
            a += 1;                                                            \
        }                                                                      \
    }

INLINE void scores(enum kernel_kv type, const float *q, size_t queries,
                   size_t head, const void *const *k, size_t pages, float *out,
                   size_t out_stride) {
    const size_t width = type == KERNEL_KV_I16 ? head : KERNEL_GROUP;
    int16_t code[KERNEL_QUERIES_MAX * KERNEL_HEAD_MAX];
    int16_t room[KERNEL_POSITIONS * KERNEL_HEAD_MAX];
    float back[KERNEL_QUERIES_MAX];

    for (size_t a = 0; a < queries; a++)
        back[a] = codes_of(q + a * head, head, code + a * head);
    for (size_t i = 0; i < pages; i++, out += KERNEL_POSITIONS) {
        const int16_t *page = k[i];

        if (i + 1 < pages) fetch(type, k[i + 1], head);
        if (type == KERNEL_KV_Q8) {
            widen(k[i], head * KERNEL_POSITIONS, room);
            page = room;
        }
        for (size_t d = 0; d < head; d += width) {
            const __m512 scale[2] = {load_scales(type, k[i], head, d, 0),
                                     load_scales(type, k[i], head, d, LANES)};

#define SCORES(n)                                                              \
    scores_tile(code + a * head + d, back + a, n, head, width,                 \
                page + d * KERNEL_POSITIONS, scale, out + a * out_stride,      \
                out_stride, d > 0)
            EACH_TILE(queries, SCORES)
#undef SCORES
        }
    }
}

/* The weights of the positions times the scales of dimension `d`. What stands
 * behind the last position may be no number. */
INLINE float weigh(enum kernel_kv type, const float *p, const void *const *v,
                   size_t count, size_t head, size_t d, int16_t *out) {
    size_t padded =
        (count + KERNEL_POSITIONS - 1) / KERNEL_POSITIONS * KERNEL_POSITIONS;
    float line[KERNEL_SPAN];
    struct bounds b = {_mm512_setzero_ps(), _mm512_setzero_ps()};

    for (size_t i = 0; i < padded; i += LANES) {
        __m512 w = _mm512_loadu_ps(p + i);
        __m512 scale = load_scales(type, v[i / KERNEL_POSITIONS], head, d,
                                   i % KERNEL_POSITIONS);
        __mmask16 some =
            _mm512_cmp_ps_mask(w, _mm512_setzero_ps(), _CMP_NEQ_UQ);

        w = _mm512_maskz_mul_ps(some, w, scale);
        bounds_add(&b, _mm512_abs_ps(w));
        _mm512_storeu_ps(line + i, w);
    }
    return codes_within(&b, line, padded, out);
}

/* Dimensions [d, d + width) of V; what is not 16 bits wide is made so in
 * `room`. */
INLINE struct values values_of(enum kernel_kv type, const void *const *v,
                               size_t count, size_t head, size_t d,
                               size_t width, int16_t *room) {
    struct values out = {.stride = 2 * head};
    size_t pages = (count + KERNEL_POSITIONS - 1) / KERNEL_POSITIONS;

    for (size_t i = 0; i < pages; i++) {
        out.page[i] = (const int16_t *)v[i] + 2 * d;
        if (type == KERNEL_KV_I16) continue;
        out.page[i] = room;
        for (size_t j = 0; j < KERNEL_POSITIONS / 2; j++, room += 2 * width)
            widen((const int8_t *)v[i] + 2 * (j * head + d), 2 * width, room);
    }
    if (type == KERNEL_KV_Q8) out.stride = 2 * width;
    return out;
}

INLINE void mix(enum kernel_kv type, const float *p, size_t p_stride,
                size_t queries, const void *const *v, size_t count, size_t head,
                float *out) {
    const size_t width = type == KERNEL_KV_I16 ? head : KERNEL_GROUP;
    int16_t code[KERNEL_QUERIES_MAX * KERNEL_SPAN];
    int16_t room[KERNEL_GROUP * KERNEL_SPAN];
    float back[KERNEL_QUERIES_MAX];

    for (size_t i = 0; i < count; i += KERNEL_POSITIONS)
        fetch(type, v[i / KERNEL_POSITIONS], head);
    for (size_t from = 0; from < head; from += width) {
        struct values values =
            values_of(type, v, count, head, from, width, room);

        for (size_t a = 0; a < queries; a++)
            back[a] = weigh(type, p + a * p_stride, v, count, head, from,
                            code + a * KERNEL_SPAN);
        for (size_t d = 0; d < width; d += WIDE * LANES) {
#define MIX(n)                                                                 \
    if (width - d > LANES)                                                     \
        mix_tile(code + a * KERNEL_SPAN, back + a, n, &values, 2 * d, WIDE,    \
                 count, out + a * head + from + d, head);                      \
    else                                                                       \
        mix_tile(code + a * KERNEL_SPAN, back + a, n, &values, 2 * d, 1,       \
                 count, out + a * head + from + d, head)
            EACH_TILE(queries, MIX)
#undef MIX
        }
    }
}

KERNEL_ATTENTION_DEFINE(avx512, i16, KERNEL_KV_I16)
KERNEL_ATTENTION_DEFINE(avx512, q8, KERNEL_KV_Q8)

#else
typedef int kernel_avx512_attention_is_for_x86; /* a file may not be empty */
#endif
