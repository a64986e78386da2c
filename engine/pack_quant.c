#include "engine/pack_quant.h"

#include <string.h>

#include "engine/kernel_unpack.h"

enum { WORDS = KERNEL_GROUP / 4 };

bool pack_quant_format(enum gguf_type type, enum kernel_format *out) {
    static const struct {
        enum gguf_type type;
        enum kernel_format format;
    } formats[] = {
        {GGUF_Q4_0, KERNEL_Q4},   {GGUF_Q4_1, KERNEL_Q4_MIN},
        {GGUF_Q5_0, KERNEL_Q5},   {GGUF_Q5_1, KERNEL_Q5_MIN},
        {GGUF_Q8_0, KERNEL_Q8},   {GGUF_Q2_K, KERNEL_Q2_K},
        {GGUF_Q3_K, KERNEL_Q3_K}, {GGUF_Q4_K, KERNEL_Q4_K},
        {GGUF_Q5_K, KERNEL_Q5_K}, {GGUF_Q6_K, KERNEL_Q6_K},
        {GGUF_IQ4_NL, KERNEL_Q8},
    };

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].type != type) continue;
        *out = formats[i].format;
        return true;
    }
    return false;
}

static void put(uint8_t *piece, size_t r, uint32_t word) {
    memcpy(piece + 4 * r, &word, sizeof word);
}

/* Pieces of pairs of bits: two bits of each code, from bit `from` up. */
static void put_pairs(uint8_t *at, size_t r, const uint32_t *word, int from) {
    for (int half = 0; half < 2; half++) {
        uint32_t pairs = 0;

        for (int j = 0; j < 4; j++)
            pairs |= (word[4 * half + j] >> from & 0x03030303) << (2 * j);
        put(at + half * KERNEL_LINE, r, pairs);
    }
}

static void put_singles(uint8_t *at, size_t r, const uint32_t *word, int from) {
    uint32_t singles = 0;

    for (int j = 0; j < WORDS; j++)
        singles |= (word[j] >> from & 0x01010101) << j;
    put(at, r, singles);
}

static void put_codes(uint8_t *at, int bits, size_t r, const uint8_t *code) {
    uint32_t word[WORDS];

    memcpy(word, code, sizeof word);
    if (bits == 8) {
        for (int j = 0; j < WORDS; j++) put(at + j * KERNEL_LINE, r, word[j]);
        return;
    }
    if (bits >= 4) {
        for (int j = 0; j < 4; j++, at += KERNEL_LINE)
            put(at, r,
                (word[j] & 0x0f0f0f0f) | (word[j + 4] & 0x0f0f0f0f) << 4);
    }
    if (bits == 6) put_pairs(at, r, word, 4);
    if (bits == 5) put_singles(at, r, word, 4);
    if (bits <= 3) put_pairs(at, r, word, 0);
    if (bits == 3) put_singles(at + 2 * KERNEL_LINE, r, word, 2);
}

static bool put_f16(uint8_t *at, size_t r, uint16_t half) {
    memcpy(at + 2 * r, &half, sizeof half);
    return (half & 0x7c00) != 0x7c00;
}

static bool put_scales(const struct kernel_layout *l,
                       const struct kernel_place *place, size_t r,
                       const struct quant_group *g) {
    /* Borrowed const for the readers; here the panel is being made. */
    uint8_t *head = (uint8_t *)(uintptr_t)place->head;
    bool ok;

    if (!l->super) {
        ok = put_f16(head + place->scale[0], r, g->scale);
        if (l->min) ok &= put_f16(head + place->min[0], r, g->min);
        return ok;
    }
    ok = put_f16(head, r, g->scale);
    if (l->min) ok &= put_f16(head + 2 * KERNEL_PANEL, r, g->min);
    for (int h = 0; h < (l->halves ? 2 : 1); h++) {
        head[place->scale[h] + r] = (uint8_t)g->step[h];
        if (l->min) head[place->min[h] + r] = (uint8_t)g->step_min[h];
    }
    return ok;
}

bool pack_quant_row(uint8_t *panel, enum kernel_format format, size_t r,
                    enum gguf_type type, const uint8_t *source, size_t groups) {
    const struct kernel_layout *l = &kernel_layouts[format];
    struct quant_group group;
    bool ok = true;

    for (size_t g = 0; g < groups; g++) {
        struct kernel_place place = kernel_place(format, panel, groups, g);

        quant_group(type, source, g, &group);
        put_codes(panel + (place.codes - panel), l->bits, r, group.code);
        ok &= put_scales(l, &place, r, &group);
    }
    return ok;
}

void pack_quant_numbers(const uint8_t *panel, enum kernel_format format,
                        size_t r, size_t groups, float *out) {
    const int offset = kernel_layouts[format].offset;
    kernel_codes code;

    for (size_t g = 0; g < groups; g++, out += KERNEL_GROUP) {
        struct kernel_place place = kernel_place(format, panel, groups, g);

        kernel_unpack_codes(format, place.codes, code);
        for (size_t i = 0; i < KERNEL_GROUP; i++) {
            size_t half = i / (KERNEL_GROUP / 2);

            out[i] = kernel_scale(format, &place, half, r) *
                         (float)(code[i / 4][4 * r + i % 4] - offset) +
                     kernel_min(format, &place, half, r);
        }
    }
}
