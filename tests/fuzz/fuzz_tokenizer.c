/* fuzz_tokenizer.c - a vocabulary from the input, then a text for it: never a
 * read out of bounds, and what is decoded is the text. The first byte picks
 * the kind; lines up to an empty one are the vocabulary, the rest is the text.
 *
 *   BPE      "left right": merges over a vocabulary of all bytes
 *   SPM      a score in one byte, then the token's text, beside all bytes
 *   hostile  type and score in a byte each, then the token's text or a merge:
 *            nothing is sure but that it ends */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 64, TOKENS = 256 + LINES, HOSTILE = 4 };

struct input {
    struct span tokens[TOKENS], merges[LINES];
    int32_t types[TOKENS];
    float scores[TOKENS];
    char alphabet[256][3], names[256][7], joined[LINES][LINES];
    struct vocabulary v;
};

/* The byte alphabet of GPT-2, made the way its authors did. */
static void put_alphabet(struct input *in) {
    unsigned next = 256;

    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned point = byte;
        char *room = in->alphabet[byte];

        in->types[byte] = TOKEN_NORMAL;
        if (byte < 33 || (byte > 126 && byte < 161) || byte == 173)
            point = next++;
        if (point < 128) {
            room[0] = (char)point;
            in->tokens[byte] = (struct span){room, 1};
        } else {
            room[0] = (char)(0xC0 | point >> 6);
            room[1] = (char)(0x80 | (point & 0x3F));
            in->tokens[byte] = (struct span){room, 2};
        }
    }
    in->v.token_count = 256;
}

static void put_bytes(struct input *in) {
    for (int byte = 0; byte < 256; byte++) {
        (void)snprintf(in->names[byte], 7, "<0x%02X>", byte);
        in->tokens[byte] = (struct span){in->names[byte], 6};
        in->types[byte] = TOKEN_BYTE;
    }
    in->v.token_count = 256;
}

static void put_token(struct input *in, struct span text, int type,
                      float score) {
    size_t i = in->v.token_count++;

    in->tokens[i] = text;
    in->types[i] = type;
    in->scores[i] = score;
}

static void put_merge(struct input *in, struct span line) {
    size_t i = in->v.merge_count++, space = span_find(line, span_of(" "));
    size_t used = 0;

    in->merges[i] = line;
    for (size_t at = 0; at < line.size; at++)
        if (at != space) in->joined[i][used++] = line.at[at];
    put_token(in, (struct span){in->joined[i], used}, TOKEN_NORMAL, 0);
}

static void put_line(struct input *in, struct span line, bool hostile) {
    unsigned char first = (unsigned char)line.at[0], second;
    struct span rest = span_slice(line, 1, line.size);

    if (!hostile && in->v.kind == TOKENIZER_BPE) {
        put_merge(in, line);
    } else if (!hostile) {
        put_token(in, rest, TOKEN_NORMAL, (float)(first / 16));
    } else if (rest.size) {
        second = (unsigned char)rest.at[0];
        rest = span_slice(rest, 1, rest.size);
        if (first % 9 == 8)
            in->merges[in->v.merge_count++] = rest;
        else
            put_token(in, rest, first % 9, second == 'N' ? NAN : second);
    }
}

static struct span normal(struct bytes *room, struct span text, bool spm) {
    static const char blank[] = "\xE2\x96\x81";

    if (!spm) return text;
    while (text.size) {
        size_t at = span_find(text, span_of(blank));

        bytes_put(room, span_slice(text, 0, at));
        if (at == SIZE_MAX) break;
        bytes_puts(room, " ");
        text = span_slice(text, at + 3, text.size);
    }
    return span_bytes(room);
}

static void check_text(const struct tokenizer *t, struct span text, bool spm,
                       bool hostile) {
    struct tokens ids = {.limit = 1 << 20};
    struct bytes room = {0};
    size_t at = 0;

    if (!tokenizer_encode(t, text, &ids, NULL)) abort();
    text = normal(&room, text, spm);
    for (size_t i = 0; i < ids.count; i++) {
        struct span piece = tokenizer_piece(t, ids.at[i]);

        if (tokenizer_is_control(t, ids.at[i])) abort();
        if (hostile) continue; /* it may lack bytes */
        if (!span_starts(span_slice(text, at, text.size), piece)) abort();
        at += piece.size;
    }
    if (!hostile && at != text.size) abort();
    tokens_free(&ids);
    bytes_free(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"gpt-2", "smollm", "llama-bpe"};
    struct input *in;
    struct tokenizer *t;
    struct span text;
    bool hostile, spm;

    if (size == 0) return 0;
    in = xalloc(sizeof *in);
    hostile = (data[0] & 15) >= HOSTILE;
    spm = data[0] % 4 == 3;
    in->v = (struct vocabulary){.kind = spm ? TOKENIZER_SPM : TOKENIZER_BPE,
                                .tokens = in->tokens,
                                .types = in->types,
                                .merges = in->merges,
                                .scores = in->scores,
                                .pre = span_of(names[data[0] % 3]),
                                .bos = data[0] >> 6,
                                .eos = -1,
                                .eot = -1,
                                .eom = -1};
    if (spm)
        put_bytes(in);
    else
        put_alphabet(in);
    text = (struct span){(const char *)data + 1, size - 1};
    for (int lines = 0; lines < LINES; lines++) {
        size_t line = span_find(text, span_of("\n"));

        if (line == SIZE_MAX || line == 0 || line > LINES) break;
        put_line(in, span_slice(text, 0, line), hostile);
        text = span_slice(text, line + 1, text.size);
    }
    t = tokenizer_from_vocabulary(&in->v, NULL);
    if (t) check_text(t, text, spm, hostile);
    tokenizer_free(t);
    free(in);
    return 0;
}
