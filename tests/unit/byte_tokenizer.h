/* byte_tokenizer.h - a vocabulary with one token for every byte, so that tokens
 * can be read back, and the control tokens of the templates after them. */
#ifndef CORRAL_TESTS_UNIT_BYTE_TOKENIZER_H
#define CORRAL_TESTS_UNIT_BYTE_TOKENIZER_H

#include <stdlib.h>

#include "base/utf8.h"
#include "engine/tokenizer.h"

static const char *const controls[] = {
    "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>",        "<|im_start|>",        "<|im_end|>",
    "<|eom_id|>",        "<|python_tag|>"};

enum { CONTROLS = sizeof controls / sizeof *controls, VOCAB = 256 + CONTROLS };

/* GPT-2's alphabet: printable bytes are themselves, the others go to U+0100
 * and on. */
static inline uint32_t letter_of(int byte) {
    uint32_t next = 0x100;

    for (int b = 0; b < 256; b++) {
        bool plain =
            (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        uint32_t letter = plain ? (uint32_t)b : next++;

        if (b == byte) return letter;
    }
    return 0;
}

/* `byte_of` by token. */
static inline struct tokenizer *byte_tokenizer(unsigned char byte_of[256]) {
    static char text[256][UTF8_MAX];
    static struct span tokens[VOCAB];
    static int32_t types[VOCAB];
    struct vocabulary v = {.tokens = tokens,
                           .types = types,
                           .token_count = VOCAB,
                           .pre = span_of("llama-bpe"),
                           .bos = -1,
                           .eos = 256 + 3,
                           .eot = -1,
                           .eom = -1};
    struct err err = {0};
    struct tokenizer *t;

    for (int b = 0; b < 256; b++) {
        tokens[b] = (struct span){text[b], utf8_encode(letter_of(b), text[b])};
        types[b] = TOKEN_NORMAL;
        byte_of[b] = (unsigned char)b;
    }
    for (int i = 0; i < CONTROLS; i++) {
        tokens[256 + i] = span_of(controls[i]);
        types[256 + i] = TOKEN_CONTROL;
    }
    t = tokenizer_from_vocabulary(&v, &err);
    if (!t) abort();
    return t;
}

#endif
