#include "engine/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Bytes and elements of a block, as llama.cpp lays them down, and where its
 * f16 numbers are. */
static const struct {
    enum gguf_type type;
    uint8_t bytes;
    uint8_t halves_at, halves;
    uint16_t elements;
    int offset;
} formats[] = {
    {GGUF_Q4_0, 18, 0, 1, 32, 8},     {GGUF_Q4_1, 20, 0, 2, 32, 0},
    {GGUF_Q5_0, 22, 0, 1, 32, 16},    {GGUF_Q5_1, 24, 0, 2, 32, 0},
    {GGUF_Q8_0, 34, 0, 1, 32, 128},   {GGUF_Q2_K, 84, 80, 2, 256, 0},
    {GGUF_Q3_K, 110, 108, 1, 256, 4}, {GGUF_Q4_K, 144, 0, 2, 256, 0},
    {GGUF_Q5_K, 176, 0, 2, 256, 0},   {GGUF_Q6_K, 210, 208, 1, 256, 32},
    {GGUF_IQ4_NL, 18, 0, 1, 32, 128},
};

enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

static size_t format_of(enum gguf_type type) {
    size_t i = 0;

    while (i < FORMAT_COUNT && formats[i].type != type) i++;
    return i;
}

bool quant_offset(enum gguf_type type, int *out) {
    size_t i = format_of(type);

    if (i == FORMAT_COUNT) return false;
    *out = formats[i].offset;
    return true;
}

bool quant_known(enum gguf_type type) {
    return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16 ||
           format_of(type) < FORMAT_COUNT;
}

size_t quant_row_bytes(enum gguf_type type, size_t count) {
    size_t i = format_of(type);

    if (type == GGUF_F32) return count * 4;
    if (type == GGUF_F16 || type == GGUF_BF16) return count * 2;
    assert(i < FORMAT_COUNT && count % formats[i].elements == 0);
    return count / formats[i].elements * formats[i].bytes;
}

static float float_of_bits(uint32_t bits) {
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f) {
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float quant_from_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 31;
    uint32_t mantissa = half & 1023;

    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent)
        return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    /* Zero and the subnormals: mantissa * 2^-24 is exact in a float. */
    return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
}

uint16_t quant_to_f16(float value) {
    uint32_t bits = bits_of_float(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;

    if (magnitude > 0x7f800000) return sign | 0x7e00; /* NaN */
    if (magnitude >= 0x47800000) return sign | 0x7c00;
    if (magnitude < 0x38800000) {
        /* Subnormal: adding a half with the right exponent makes the float
         * unit round the bits off for us. */
        float shifted = float_of_bits(magnitude) + 0.5f;

        return (uint16_t)(sign | (bits_of_float(shifted) - 0x3f000000));
    }
    magnitude += 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (magnitude - 0x38000000) >> 13);
}

float quant_from_bf16(uint16_t half) {
    return float_of_bits((uint32_t)half << 16);
}

uint16_t quant_to_bf16(float value) {
    uint32_t bits = bits_of_float(value);

    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t half_at(const uint8_t *at) {
    uint16_t half;

    memcpy(&half, at, sizeof half);
    return half;
}

bool quant_finite(enum gguf_type type, const void *row, size_t count) {
    size_t f = format_of(type);
    const uint8_t *at = row;
    bool ok = true;

    assert(f < FORMAT_COUNT);
    at += formats[f].halves_at;
    for (size_t i = 0; i < count; i += formats[f].elements) {
        for (size_t h = 0; h < formats[f].halves; h++)
            ok &= (half_at(at + 2 * h) & 0x7c00) != 0x7c00;
        at += formats[f].bytes;
    }
    return ok;
}

/* A format without steps. */
static void set(struct quant_group *g, uint16_t scale, uint16_t min) {
    g->scale = scale;
    g->min = min;
    g->step[0] = g->step[1] = g->step_min[0] = g->step_min[1] = 1;
}

/* The K-quants take their min off: the sign goes to the common factor. */
static void set_super(struct quant_group *g, uint16_t scale, uint16_t min) {
    g->scale = scale;
    g->min = min ^ 0x8000;
}

static void set_steps(struct quant_group *g, int half, int step, int min) {
    g->step[half] = (int8_t)step;
    g->step_min[half] = (int8_t)min;
}

static void nibbles(const uint8_t *qs, uint8_t *code) {
    for (int i = 0; i < 16; i++) {
        code[i] = qs[i] & 15;
        code[i + 16] = qs[i] >> 4;
    }
}

/* The fifth bits of Q5_0 and Q5_1: bit i belongs to element i. */
static void fifth_bits(const uint8_t *qh, uint8_t *code) {
    for (int i = 0; i < QUANT_GROUP; i++)
        code[i] = (uint8_t)(code[i] | (qh[i / 8] >> (i % 8) & 1) << 4);
}

static void group_iq4_nl(const uint8_t *b, struct quant_group *g) {
    static const int8_t table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

    set(g, half_at(b), 0);
    nibbles(b + 2, g->code);
    for (int i = 0; i < QUANT_GROUP; i++)
        g->code[i] = (uint8_t)(table[g->code[i]] + 128);
}

/* Scale and min `j` of Q4_K and Q5_K, six bits each, packed in 12 bytes. */
static void six_bits(const uint8_t *s, size_t j, int *scale, int *min) {
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

/* Q4_K: f16 d, f16 dmin, 12 bytes of scales, qs[128]. Q5_K: qh[32] before
 * qs. Each 32 bytes of qs hold two groups, the low and the high nibbles. */
static void group_q45_k(const uint8_t *b, size_t j, bool five,
                        struct quant_group *g) {
    const uint8_t *qh = b + 16;
    const uint8_t *qs = b + (five ? 48 : 16) + j / 2 * 32;
    int scale;
    int min;

    six_bits(b + 4, j, &scale, &min);
    set_super(g, half_at(b), half_at(b + 2));
    set_steps(g, 0, scale, min);
    set_steps(g, 1, scale, min);
    for (int i = 0; i < QUANT_GROUP; i++) {
        int code = j % 2 ? qs[i] >> 4 : qs[i] & 15;

        if (five) code |= (qh[i] >> j & 1) << 4;
        g->code[i] = (uint8_t)code;
    }
}

/* Q6_K: ql[128], qh[64], int8 scales[16], f16 d. A half of 128 values has 64
 * bytes of ql and 32 of qh; its four groups take nibbles and bit pairs. */
static void group_q6_k(const uint8_t *b, size_t j, struct quant_group *g) {
    const uint8_t *ql = b + j / 4 * 64 + j % 2 * 32;
    const uint8_t *qh = b + 128 + j / 4 * 32;
    size_t quarter = j % 4;

    set_super(g, half_at(b + 208), 0);
    for (int h = 0; h < 2; h++)
        set_steps(g, h, (int8_t)b[192 + 2 * j + (size_t)h], 0);
    for (int i = 0; i < QUANT_GROUP; i++) {
        int low = quarter < 2 ? ql[i] & 15 : ql[i] >> 4;

        g->code[i] = (uint8_t)(low | (qh[i] >> (2 * quarter) & 3) << 4);
    }
}

/* Q2_K: scales[16] (low nibble scale, high nibble min), qs[64], d, dmin. */
static void group_q2_k(const uint8_t *b, size_t j, struct quant_group *g) {
    const uint8_t *qs = b + 16 + j / 4 * 32;

    set_super(g, half_at(b + 80), half_at(b + 82));
    for (int h = 0; h < 2; h++) {
        uint8_t scale = b[2 * j + (size_t)h];

        set_steps(g, h, scale & 15, scale >> 4);
    }
    for (int i = 0; i < QUANT_GROUP; i++)
        g->code[i] = qs[i] >> (2 * (j % 4)) & 3;
}

/* Q3_K: hmask[32], qs[64], scales[12] (six bits, less 32), f16 d. The third
 * bit, when clear, takes 4 off: with offset 4 it is simply a third bit. */
static void group_q3_k(const uint8_t *b, size_t j, struct quant_group *g) {
    const uint8_t *qs = b + 32 + j / 4 * 32;
    const uint8_t *s = b + 96;

    set_super(g, half_at(b + 108), 0);
    for (int h = 0; h < 2; h++) {
        size_t k = 2 * j + (size_t)h;
        int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
        int high = s[8 + k % 4] >> (2 * (k / 4)) & 3;

        set_steps(g, h, (low | high << 4) - 32, 0);
    }
    for (int i = 0; i < QUANT_GROUP; i++)
        g->code[i] =
            (uint8_t)((qs[i] >> (2 * (j % 4)) & 3) | (b[i] >> j & 1) << 2);
}

static void group_q8_0(const uint8_t *b, struct quant_group *g) {
    set(g, half_at(b), 0);
    for (int i = 0; i < QUANT_GROUP; i++)
        g->code[i] = b[2 + i] ^ 0x80; /* int8 + 128 */
}

/* The largest magnitude of a group. As bits, since integers may be compared in
 * any order; what is no number comes out larger than all that are. */
static float largest(const float *row) {
    int32_t most = 0;

    for (int i = 0; i < QUANT_GROUP; i++) {
        int32_t bits = (int32_t)(bits_of_float(row[i]) & 0x7fffffff);

        most = bits > most ? bits : most;
    }
    return float_of_bits((uint32_t)most);
}

/* Written for the compiler to do many at once, as an adapter has millions: a
 * float above 2^23 has no room for a fraction, and its last bits count. */
static void codes_q8_0(const float *restrict row, float scale,
                       int8_t *restrict out) {
    const float whole = 12582912.0f; /* 1.5 * 2^23 */

    for (int i = 0; i < QUANT_GROUP; i++) {
        int32_t code = (int32_t)(bits_of_float(row[i] / scale + whole) -
                                 bits_of_float(whole));

        code = code < 127 ? code : 127;
        out[i] = (int8_t)(code > -127 ? code : -127);
    }
}

void quant_to_q8_0(const float *row, size_t count, uint8_t *out) {
    for (; count; count -= QUANT_GROUP, row += QUANT_GROUP) {
        uint16_t half = quant_to_f16(largest(row) / 127.0f);
        float scale = quant_from_f16(half);

        memcpy(out, &half, sizeof half);
        codes_q8_0(row, scale > 0 ? scale : INFINITY,
                   (int8_t *)out + sizeof half);
        out += sizeof half + QUANT_GROUP;
    }
}

void quant_group(enum gguf_type type, const void *row, size_t index,
                 struct quant_group *out) {
    size_t f = format_of(type);
    size_t groups;
    const uint8_t *b;

    assert(f < FORMAT_COUNT);
    groups = formats[f].elements / QUANT_GROUP;
    b = (const uint8_t *)row + index / groups * formats[f].bytes;
    index %= groups;
    switch (type) {
    case GGUF_Q4_0:
        set(out, half_at(b), 0);
        nibbles(b + 2, out->code);
        break;
    case GGUF_Q4_1:
        set(out, half_at(b), half_at(b + 2));
        nibbles(b + 4, out->code);
        break;
    case GGUF_Q5_0:
        set(out, half_at(b), 0);
        nibbles(b + 6, out->code);
        fifth_bits(b + 2, out->code);
        break;
    case GGUF_Q5_1:
        set(out, half_at(b), half_at(b + 2));
        nibbles(b + 8, out->code);
        fifth_bits(b + 4, out->code);
        break;
    case GGUF_Q8_0:
        group_q8_0(b, out);
        break;
    case GGUF_Q2_K:
        group_q2_k(b, index, out);
        break;
    case GGUF_Q3_K:
        group_q3_k(b, index, out);
        break;
    case GGUF_Q4_K:
        group_q45_k(b, index, false, out);
        break;
    case GGUF_Q5_K:
        group_q45_k(b, index, true, out);
        break;
    case GGUF_Q6_K:
        group_q6_k(b, index, out);
        break;
    default:
        group_iq4_nl(b, out);
        break;
    }
}

static void group_floats(const struct quant_group *g, int offset, float *out) {
    for (int h = 0; h < 2; h++) {
        float scale = quant_from_f16(g->scale) * (float)g->step[h];
        float min = quant_from_f16(g->min) * (float)g->step_min[h];

        for (int i = h * 16; i < h * 16 + 16; i++)
            out[i] = scale * (float)(g->code[i] - offset) + min;
    }
}

void quant_row(enum gguf_type type, const void *row, size_t count, float *out) {
    const uint8_t *at = row;
    struct quant_group g;
    uint16_t half;
    int offset;

    if (type == GGUF_F32) {
        memcpy(out, row, count * sizeof *out);
        return;
    }
    if (!quant_offset(type, &offset)) {
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, at + 2 * i, sizeof half);
            out[i] =
                type == GGUF_F16 ? quant_from_f16(half) : quant_from_bf16(half);
        }
        return;
    }
    for (size_t i = 0; i < count; i += QUANT_GROUP) {
        quant_group(type, row, i / QUANT_GROUP, &g);
        group_floats(&g, offset, out + i);
    }
}
