#include "guard/decode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "guard/decode_types.h"
#include "guard/letters.h"

/* One layer being written: in[0..copied) is in the view already. */
struct layer_writer {
    struct span in;
    struct decode_layer *layer; /* its map leads to `in` until it is done */
    size_t copied, capacity, run_capacity;
    size_t settled; /* bytes of `in` that no later text changes */
};

static void put(struct layer_writer *w, char c, size_t from, size_t end) {
    struct text_view *v = &w->layer->view;
    size_t at = v->text.size++;

    v->text.at[at] = c;
    v->map_from[at] = (uint32_t)from;
    v->map_end[at] = (uint32_t)end;
}

static void copy_to(struct layer_writer *w, size_t end) {
    for (; w->copied < end; w->copied++)
        put(w, w->in.at[w->copied], w->copied, w->copied + 1);
}

static void begin_layer(struct layer_writer *w) {
    struct text_view *v = &w->layer->view;

    w->capacity = w->in.size + 1;
    v->text.at = xalloc_array(w->capacity, 1);
    v->text.capacity = w->capacity;
    v->map_from = xalloc_array(w->capacity, sizeof *v->map_from);
    v->map_end = xalloc_array(w->capacity, sizeof *v->map_end);
}

/* Nothing that is decoded is longer than its code, so the view has room. */
static void write_run(struct layer_writer *w, const struct decode_found *f) {
    struct decode_layer *l = w->layer;

    assert(f->count <= f->end - f->from);
    if (!l->view.text.at) begin_layer(w);
    if (l->run_count == w->run_capacity) {
        w->run_capacity = w->run_capacity ? 2 * w->run_capacity : 16;
        l->runs = xrealloc_array(l->runs, w->run_capacity, sizeof *l->runs);
    }
    l->runs[l->run_count++] =
        (struct decode_run){(uint32_t)f->from, (uint32_t)f->end};
    l->view.shuffled = l->view.shuffled || f->shuffled;
    copy_to(w, f->from);
    for (size_t i = 0; i < f->count; i++) {
        put(w, f->bytes[i].value, f->bytes[i].from, f->bytes[i].end);
        l->letters += letters_index(f->bytes[i].value) != LETTERS_EDGE;
        l->foreign_bytes += (unsigned char)f->bytes[i].value >= 0x80;
    }
    w->copied = f->end;
}

static bool found_at(struct layer_writer *w, const struct decode_found *f) {
    if (f->open && f->begin < w->settled) w->settled = f->begin;
    if (f->from == f->end) return false;
    write_run(w, f);
    return true;
}

/* A word may be a token, or the first of several codes. */
static size_t try_word(struct layer_writer *w, size_t at,
                       struct decode_found *f) {
    size_t end;

    if (w->in.at[at] <= '9' || (w->in.at[at] | 32) <= 'f') {
        end = decode_group(w->in, at, f);
        if (found_at(w, f)) return end;
    }
    end = decode_token(w->in, at, f);
    (void)found_at(w, f);
    return end;
}

/* What is encoded at in.at[at], if anything, is written; where to go on. */
static size_t walk_one(struct layer_writer *w, size_t at,
                       struct decode_found *f) {
    char c = w->in.at[at];
    size_t end = at;

    if (decode_escape_opens(c)) {
        end = decode_escape(w->in, at, f);
        if (found_at(w, f)) return end;
    }
    if (c == '.' || c == '-' || c == '\xC2' || c == '\xE2') {
        end = decode_morse(w->in, at, f);
        if (found_at(w, f)) return end;
    }
    if (decode_token_letter(c)) end = try_word(w, at, f);
    return end > at ? end : at + 1;
}

static void walk(struct layer_writer *w, size_t at) {
    struct decode_found here, turned;
    bool any = decode_cipher(w->in, at, &turned);

    for (;;) {
        /* A code may have reached into the stretch. */
        if (any && at > turned.from) any = decode_cipher(w->in, at, &turned);
        if (at >= w->in.size) break;
        if (any && at == turned.from) {
            write_run(w, &turned);
            at = turned.end;
            any = decode_cipher(w->in, at, &turned);
        } else {
            at = walk_one(w, at, &here);
        }
    }
    if (turned.open && turned.begin < w->settled) w->settled = turned.begin;
}

/* Raw bytes in place of those of the text below. */
static void compose(struct text_view *v, const struct text_view *below) {
    for (size_t i = 0; i < v->text.size; i++) {
        size_t from, end;

        text_view_span(below, v->map_from[i], v->map_end[i], &from, &end);
        v->map_from[i] = (uint32_t)from;
        v->map_end[i] = (uint32_t)end;
    }
    v->shuffled = v->shuffled || below->shuffled;
}

static void finish_layer(struct layer_writer *w,
                         const struct text_view *below) {
    struct text_view *v = &w->layer->view;

    copy_to(w, w->in.size);
    v->settled = v->text.size;
    while (v->settled && v->map_end[v->settled - 1] > w->settled) v->settled--;
    if (below) compose(v, below);
}

/* False when nothing in `in` is encoded. */
static bool decode_layer(struct span in, size_t at,
                         const struct text_view *below,
                         struct decode_layer *out) {
    struct layer_writer w = {.in = in, .layer = out, .settled = in.size};

    walk(&w, at);
    if (!out->view.text.at) return false;
    finish_layer(&w, below);
    return true;
}

bool decode_text(struct span text, size_t decided, struct decoded *out,
                 struct err *err) {
    const struct text_view *below = NULL;
    struct span in = text;
    size_t at = decided;

    memset(out, 0, sizeof *out);
    if (text.size > UINT32_MAX / 32)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes", text.size);
    while (out->count < DECODE_DEPTH &&
           decode_layer(in, at, below, &out->layers[out->count])) {
        below = &out->layers[out->count++].view;
        in = span_bytes(&below->text);
        for (at = 0; at < in.size && below->map_from[at] < decided;) at++;
    }
    return true;
}

void decoded_clear(struct decoded *d) {
    for (int i = 0; i < d->count; i++) {
        text_view_clear(&d->layers[i].view);
        free(d->layers[i].runs);
    }
    memset(d, 0, sizeof *d);
}
