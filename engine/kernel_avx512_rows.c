/* The AVX-512 table: K-quants as a model file has them. A large model can
 * thus serve before it is packed (repack.h). 16 rows are a
 * panel; the same 16 bytes of each are turned into four registers in which a
 * lane holds four inputs of one row, as in kernel_layout.h, so all that follows
 * is what packed panels get. */
#if defined(__x86_64__)

#include "engine/kernel_avx512_gemm.h"
#include "engine/kernel_avx512_group.h"

/* Bytes of 256 inputs of a row; quant.c says what is in them. */
enum {
    Q4_K_BYTES = 144,
    Q4_K_CODES = 16,
    Q6_K_BYTES = 210,
    Q6_K_HIGH = 128,
    Q6_K_STEPS = 192
};

enum { WORDS = 4 };

/* Word j of the 16 bytes at `at` in each of 16 rows. */
INLINE void load_words(const uint8_t *at, size_t row_bytes,
                       __m512i word[WORDS]) {
    __m512i v[WORDS];
    __m512i low[2];
    __m512i high[2];

    UNROLL
    for (size_t i = 0; i < WORDS; i++) {
        const uint8_t *from = at + i * row_bytes;

        v[i] = _mm512_castsi128_si512(
            _mm_loadu_si128((const __m128i *)(const void *)from));
        UNROLL
        for (size_t part = 1; part < WORDS; part++)
            v[i] = _mm512_mask_broadcast_i32x4(
                v[i], (__mmask16)(15u << (4 * part)),
                _mm_loadu_si128(
                    (const __m128i *)(const void *)(from +
                                                    4 * part * row_bytes)));
    }
    UNROLL
    for (int i = 0; i < 2; i++) {
        low[i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        high[i] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    word[0] = _mm512_unpacklo_epi64(low[0], low[1]);
    word[1] = _mm512_unpackhi_epi64(low[0], low[1]);
    word[2] = _mm512_unpacklo_epi64(high[0], high[1]);
    word[3] = _mm512_unpackhi_epi64(high[0], high[1]);
}

/* The f16 in the low half of each lane. */
INLINE __m512 low_f16(__m512i v) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

INLINE __m512 to_less(__m512 scale) {
    return _mm512_mul_ps(scale, _mm512_set1_ps(-DOT_ZERO));
}

/* ---- Q4_K ---- */

/* The six bits of scales and mins of groups 0 to 3, and of 4 to 7: a byte
 * each of a lane. */
struct q4_k_steps {
    __m512 scale, min; /* f16 d and dmin, the min to be taken off */
    __m512i step[2], step_min[2];
};

INLINE struct q4_k_steps q4_k_steps(const uint8_t *at, size_t row_bytes) {
    const __m512i six = _mm512_set1_epi8(63);
    const __m512i four = _mm512_set1_epi8(15);
    struct q4_k_steps s;
    __m512i w[WORDS];
    __m512i less;

    load_words(at, row_bytes, w);
    less = _mm512_xor_si512(_mm512_srli_epi32(w[0], 16),
                            _mm512_set1_epi32(0x8000));
    s.scale = low_f16(w[0]);
    s.min = low_f16(less);
    s.step[0] = _mm512_and_si512(w[1], six);
    s.step_min[0] = _mm512_and_si512(w[2], six);
    s.step[1] = with_bits(_mm512_and_si512(w[3], four), w[1], 2, 0x30);
    s.step_min[1] = with_bits(
        _mm512_and_si512(_mm512_srli_epi16(w[3], 4), four), w[2], 2, 0x30);
    return s;
}

INLINE __m512 byte_of(__m512i v, int index) {
    return _mm512_cvtepi32_ps(_mm512_and_si512(
        _mm512_srli_epi32(v, (unsigned)(8 * index)), _mm512_set1_epi32(255)));
}

INLINE void q4_k_factors(const struct q4_k_steps *s, int group, __m512i *out) {
    struct factors f;

    f.scale[0] =
        _mm512_mul_ps(s->scale, byte_of(s->step[group / 4], group % 4));
    f.less[0] = to_less(f.scale[0]);
    f.min[0] =
        _mm512_mul_ps(s->min, byte_of(s->step_min[group / 4], group % 4));
    store_factors(false, &f, out);
}

static void q4_k_unpack(const uint8_t *panel, size_t groups, size_t from,
                        size_t count, __m512i *out) {
    const size_t row_bytes = groups / KERNEL_BLOCK * Q4_K_BYTES;
    const size_t each = group_registers(false);
    const __m512i nibble = _mm512_set1_epi8(15);

    for (size_t b = from / KERNEL_BLOCK; b < (from + count) / KERNEL_BLOCK;
         b++, out += KERNEL_BLOCK * each) {
        const uint8_t *at = panel + b * Q4_K_BYTES;
        struct q4_k_steps steps = q4_k_steps(at, row_bytes);

        UNROLL
        for (int pair = 0; pair < KERNEL_BLOCK; pair += 2) {
            __m512i *low = out + (size_t)pair * each;
            __m512i *high = low + each;

            UNROLL
            for (int i = 0; i < PIECES; i += WORDS) {
                __m512i w[WORDS];

                load_words(at + Q4_K_CODES + 16 * pair + 4 * i, row_bytes, w);
                UNROLL
                for (int j = 0; j < WORDS; j++) {
                    low[i + j] = _mm512_and_si512(w[j], nibble);
                    high[i + j] =
                        _mm512_and_si512(_mm512_srli_epi16(w[j], 4), nibble);
                }
            }
            q4_k_factors(&steps, pair, low + PIECES);
            q4_k_factors(&steps, pair + 1, high + PIECES);
        }
    }
}

/* ---- Q6_K ---- */

/* The codes of groups 4 * half to 4 * half + 3, of either 16 inputs. */
INLINE void q6_k_codes(const uint8_t *at, size_t row_bytes, int half,
                       __m512i *out) {
    const size_t each = group_registers(true);
    const __m512i nibble = _mm512_set1_epi8(15);

    UNROLL
    for (int i = 0; i < PIECES; i += WORDS) {
        const uint8_t *codes = at + 64 * half + 4 * i;
        __m512i low[2][WORDS];
        __m512i high[WORDS];

        load_words(codes, row_bytes, low[0]);
        load_words(codes + KERNEL_GROUP, row_bytes, low[1]);
        load_words(at + Q6_K_HIGH + 32 * half + 4 * i, row_bytes, high);
        UNROLL
        for (int j = 0; j < WORDS; j++) {
            UNROLL
            for (int quarter = 0; quarter < 4; quarter++) {
                __m512i v = low[quarter % 2][j];

                if (quarter >= 2) v = _mm512_srli_epi16(v, 4);
                out[(size_t)quarter * each + (size_t)(i + j)] =
                    with_bits(_mm512_and_si512(v, nibble), high[j],
                              2 * quarter - 4, 0x30);
            }
        }
    }
}

INLINE void q6_k_factors(__m512 scale, __m512i steps, int first, __m512i *out) {
    const __m512 offset =
        _mm512_set1_ps(-(float)kernel_layouts[KERNEL_Q6_K].offset);
    struct factors f;

    UNROLL
    for (int h = 0; h < 2; h++) {
        __m512i step = _mm512_srai_epi32(
            _mm512_slli_epi32(steps, (unsigned)(24 - 8 * (first + h))), 24);

        f.scale[h] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(step));
        f.less[h] = to_less(f.scale[h]);
        f.min[h] = _mm512_mul_ps(f.scale[h], offset);
    }
    f.min[1] = _mm512_sub_ps(f.min[1], f.min[0]);
    store_factors(true, &f, out);
}

static void q6_k_unpack(const uint8_t *panel, size_t groups, size_t from,
                        size_t count, __m512i *out) {
    const size_t row_bytes = groups / KERNEL_BLOCK * Q6_K_BYTES;
    const size_t each = group_registers(true);

    for (size_t b = from / KERNEL_BLOCK; b < (from + count) / KERNEL_BLOCK;
         b++, out += KERNEL_BLOCK * each) {
        const uint8_t *at = panel + b * Q6_K_BYTES;
        __m512i steps[WORDS];
        __m512i last[WORDS]; /* word 3: two of the steps, and the f16 d */
        __m512 scale;

        load_words(at + Q6_K_STEPS, row_bytes, steps);
        load_words(at + Q6_K_BYTES - 16, row_bytes, last);
        scale = low_f16(_mm512_srli_epi32(last[3], 16));
        UNROLL
        for (int half = 0; half < 2; half++)
            q6_k_codes(at, row_bytes, half, out + (size_t)(4 * half) * each);
        UNROLL
        for (int g = 0; g < KERNEL_BLOCK; g++)
            q6_k_factors(scale, steps[g / 2], 2 * (g % 2),
                         out + (size_t)g * each + PIECES);
    }
}

/* ---- both ---- */

void avx512_gemm_rows_q4_k(const uint8_t *w, size_t columns,
                           const struct kernel_input *x, float *out,
                           size_t out_stride, bool add) {
    const struct avx512_source source = {
        false, KERNEL_PANEL * x->groups / KERNEL_BLOCK * Q4_K_BYTES,
        q4_k_unpack};

    avx512_gemm_unpacked(&source, w, columns, x, out, out_stride, add);
}

void avx512_gemm_rows_q6_k(const uint8_t *w, size_t columns,
                           const struct kernel_input *x, float *out,
                           size_t out_stride, bool add) {
    const struct avx512_source source = {
        true, KERNEL_PANEL * x->groups / KERNEL_BLOCK * Q6_K_BYTES,
        q6_k_unpack};

    avx512_gemm_unpacked(&source, w, columns, x, out, out_stride, add);
}

#else
typedef int kernel_avx512_rows_is_for_x86; /* a file may not be empty */
#endif
