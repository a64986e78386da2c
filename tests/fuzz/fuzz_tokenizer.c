/* fuzz_tokenizer.c - a vocabulary from the input, then its text: never a read
 * out of bounds, and what is decoded is the text that has tokens. The first
 * byte picks the pre-tokenizer; lines up to an empty one are "left right"
 * merges over a vocabulary of all bytes; the rest is text. */
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS = 256 + 64 };

/* The byte alphabet of GPT-2, made the way its authors did. */
static void alphabet(struct span *tokens, char (*room)[3]) {
    unsigned next = 256;

    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned point = byte;

        if (byte < 33 || (byte > 126 && byte < 161) || byte == 173)
            point = next++;
        if (point < 128) {
            room[byte][0] = (char)point;
            tokens[byte] = (struct span){room[byte], 1};
        } else {
            room[byte][0] = (char)(0xC0 | point >> 6);
            room[byte][1] = (char)(0x80 | (point & 0x3F));
            tokens[byte] = (struct span){room[byte], 2};
        }
    }
}

static void check_text(const struct tokenizer *t, struct span text) {
    struct tokens ids = {.limit = 1 << 20};
    size_t at = 0;

    if (!tokenizer_encode(t, text, &ids, NULL)) abort();
    for (size_t i = 0; i < ids.count; i++) {
        struct span piece = tokenizer_piece(t, ids.at[i]);

        if (!span_starts(span_slice(text, at, text.size), piece)) abort();
        at += piece.size;
    }
    if (at != text.size) abort();
    tokens_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"gpt-2", "smollm", "llama-bpe"};
    struct span tokens[TOKENS], merges[64], text;
    char room[256][3], joined[64][64];
    struct vocabulary v = {tokens, NULL, 256, merges, 0, {0}, -1, -1, -1, -1};
    struct tokenizer *t;

    if (size == 0) return 0;
    alphabet(tokens, room);
    v.pre = span_of(names[data[0] % 3]);
    text = (struct span){(const char *)data + 1, size - 1};
    while (v.merge_count < 64) {
        size_t line = span_find(text, span_of("\n"));
        size_t space, used = 0;

        if (line == SIZE_MAX || line == 0 || line > sizeof joined[0]) break;
        merges[v.merge_count] = span_slice(text, 0, line);
        space = span_find(merges[v.merge_count], span_of(" "));
        for (size_t i = 0; i < line; i++)
            if (i != space) joined[v.merge_count][used++] = text.at[i];
        tokens[v.token_count++] = (struct span){joined[v.merge_count++], used};
        text = span_slice(text, line + 1, text.size);
    }
    t = tokenizer_from_vocabulary(&v, NULL);
    if (t) check_text(t, text);
    tokenizer_free(t);
    return 0;
}
