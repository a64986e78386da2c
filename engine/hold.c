#include "engine/hold.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void hold_init(struct hold *h, const struct span *stops, int stop_count) {
    memset(h, 0, sizeof *h);
    h->stops = xalloc_array((size_t)stop_count, sizeof *h->stops);
    for (int i = 0; i < stop_count; i++) {
        if (stops[i].size == 0) continue; /* would match everywhere */
        h->stops[h->stop_count++] =
            (struct span){span_dup(stops[i]), stops[i].size};
    }
}

static void free_span(struct span s) {
    char *at;

    memcpy(&at, &s.at, sizeof at); /* ours, from span_dup() */
    free(at);
}

void hold_clear(struct hold *h) {
    for (int i = 0; i < h->stop_count; i++) free_span(h->stops[i]);
    free(h->stops);
    free(h->tokens);
    free(h->token_end);
    bytes_free(&h->text);
    memset(h, 0, sizeof *h);
}

/* Append bytes as valid UTF-8. */
static void put_clean(struct bytes *out, struct span s) {
    while (s.size > 0) {
        uint32_t point;
        char encoded[UTF8_MAX];
        size_t size = utf8_decode(s, &point, NULL);

        bytes_put(out, (struct span){encoded, utf8_encode(point, encoded)});
        s = span_slice(s, size, s.size);
    }
}

static void push_bytes(struct hold *h, struct span piece) {
    struct bytes raw = {0};
    size_t whole;

    bytes_put(&raw, (struct span){h->tail, h->tail_size});
    bytes_put(&raw, piece);
    whole = utf8_complete(span_bytes(&raw));
    put_clean(&h->text, span_slice(span_bytes(&raw), 0, whole));
    h->tail_size = raw.size - whole; /* at most 3: see utf8_complete() */
    if (h->tail_size) memcpy(h->tail, raw.at + whole, h->tail_size);
    bytes_free(&raw);
}

static void push_token(struct hold *h, int token) {
    if (h->token_count == h->token_capacity) {
        h->token_capacity = h->token_capacity ? h->token_capacity * 2 : 8;
        h->tokens =
            xrealloc_array(h->tokens, h->token_capacity, sizeof *h->tokens);
        h->token_end = xrealloc_array(h->token_end, h->token_capacity,
                                      sizeof *h->token_end);
    }
    h->tokens[h->token_count] = token;
    /* Bytes that wait in the tail become at least one byte of text. */
    h->token_end[h->token_count++] = h->text.size + (h->tail_size > 0);
}

/* Where the first stop string begins at or after `from`, or SIZE_MAX. */
static size_t find_stop(struct hold *h, size_t from) {
    struct span text = span_slice(span_bytes(&h->text), from, SIZE_MAX);
    size_t first = SIZE_MAX;

    for (int i = 0; i < h->stop_count; i++) {
        size_t at = span_find(text, h->stops[i]);

        if (at >= first) continue;
        first = at;
        h->met = i + 1;
    }
    return first == SIZE_MAX ? first : from + first;
}

bool hold_push(struct hold *h, int token, struct span piece) {
    size_t stop;

    push_bytes(h, piece);
    push_token(h, token);
    stop = find_stop(h, 0);
    if (stop == SIZE_MAX) return false;
    h->text.size = stop;
    h->tail_size = 0;
    while (h->token_count > 0 && h->token_end[h->token_count - 1] > stop)
        h->token_count--;
    hold_finish(h);
    return true;
}

void hold_finish(struct hold *h) {
    put_clean(&h->text, (struct span){h->tail, h->tail_size});
    h->tail_size = 0;
    for (int i = 0; i < h->stop_count; i++) free_span(h->stops[i]);
    h->stop_count = 0;
}

/* The longest suffix of `text` that is a proper prefix of `stop`. */
static size_t overlap(struct span text, struct span stop) {
    size_t size = stop.size - 1 < text.size ? stop.size - 1 : text.size;

    while (size > 0 &&
           !span_equal(span_slice(text, text.size - size, text.size),
                       span_slice(stop, 0, size)))
        size--;
    return size;
}

size_t hold_ready(const struct hold *h, size_t *token_count) {
    struct span text = span_bytes(&h->text);
    size_t held = 0;

    for (int i = 0; i < h->stop_count; i++) {
        size_t size = overlap(text, h->stops[i]);

        if (size > held) held = size;
    }
    /* A stop may begin in the middle of no character: it is valid UTF-8, so
     * its first byte is a first byte, and the cut is between characters. */
    while (held < text.size && held > 0 &&
           ((unsigned char)text.at[text.size - held] & 0xC0) == 0x80)
        held++;
    *token_count = 0;
    while (*token_count < h->token_count &&
           h->token_end[*token_count] <= text.size - held)
        ++*token_count;
    return text.size - held;
}

void hold_drop(struct hold *h, size_t size, size_t token_count) {
    bytes_drop(&h->text, size);
    h->token_count -= token_count;
    for (size_t i = 0; i < h->token_count; i++) {
        h->tokens[i] = h->tokens[i + token_count];
        h->token_end[i] = h->token_end[i + token_count] - size;
    }
}
