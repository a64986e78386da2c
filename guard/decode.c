#include "guard/decode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "guard/decode_types.h"
#include "guard/letters.h"

enum { SHORT_TEXT = 1024, AGAIN_MIN = 1 << 16, AGAIN_TIMES = 4 };

/* One layer being written: in[0..copied) is in the view already. */
struct layer_writer {
    struct span in;
    struct decode_layer *layer; /* its map leads to `in` until it is done */
    size_t copied, capacity, run_capacity;
    size_t settled; /* bytes of `in` that no later text changes */
    size_t run_end; /* of the last run */
    size_t tried[DECODE_BASES];
    /* NULL: each byte is looked at. */
    const struct decode_quiet *quiet;
    struct stretches *places; /* only where the runs are is asked; or NULL */
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
static void write_run(struct layer_writer *w, const struct decode_found *f,
                      bool escape) {
    struct decode_layer *l = w->layer;

    assert(f->count <= f->end - f->from);
    if (w->places) {
        odd_put(w->places, f->from, f->end);
        return;
    }
    if (!l->view.text.at) begin_layer(w);
    if (l->run_count == w->run_capacity) {
        w->run_capacity = w->run_capacity ? 2 * w->run_capacity : 16;
        l->runs = xrealloc_array(l->runs, w->run_capacity, sizeof *l->runs);
    }
    l->runs[l->run_count++] =
        (struct decode_run){(uint32_t)f->from, (uint32_t)f->end, escape};
    l->view.shuffled = l->view.shuffled || f->shuffled;
    copy_to(w, f->from);
    odd_put(&l->changed, l->view.text.size, l->view.text.size + f->count);
    for (size_t i = 0; i < f->count; i++) {
        put(w, f->bytes[i].value, f->bytes[i].from, f->bytes[i].end);
        l->letters += letters_index(f->bytes[i].value) != LETTERS_EDGE;
        l->foreign_bytes += (unsigned char)f->bytes[i].value >= 0x80;
    }
    w->copied = f->end;
}

static bool found_at(struct layer_writer *w, const struct decode_found *f,
                     bool escape) {
    if (f->open && f->begin < w->settled) w->settled = f->begin;
    if (f->from == f->end) return false;
    write_run(w, f, escape);
    w->run_end = f->end;
    return true;
}

/* Two digits of hex, three of ten, eight of two, or a leading 0x: what codes
 * with blanks between them begin with. Words of prose seldom are. */
static bool may_be_number(struct span in, size_t at) {
    size_t end = at;

    if (in.at[at] > '9' && (in.at[at] | 32) > 'f') return false;
    while (end < in.size && end - at <= 8 && decode_token_letter(in.at[end]) &&
           in.at[end] != '-')
        end++;
    return end == in.size || end - at <= 4 || end - at == 8;
}

/* A word may be a token, or the first of several codes. */
static size_t try_word(struct layer_writer *w, size_t at,
                       struct decode_found *f) {
    size_t end;

    if (may_be_number(w->in, at)) {
        end = decode_group(w->in, at, w->tried, f);
        if (found_at(w, f, false)) return end;
    }
    end = decode_token(w->in, at, f);
    (void)found_at(w, f, false);
    return end;
}

/* What is encoded at in.at[at], if anything, is written; where to go on. */
static size_t walk_one(struct layer_writer *w, size_t at,
                       struct decode_found *f) {
    char c = w->in.at[at];
    size_t end = at;

    if (decode_escape_opens(c)) {
        end = decode_escape(w->in, at, f);
        if (found_at(w, f, true)) return end;
    }
    if (c == '.' || c == '-' || c == '\xC2' || c == '\xE2') {
        end = decode_morse(w->in, at, f);
        if (found_at(w, f, false)) return end;
    }
    if (decode_token_letter(c)) end = try_word(w, at, f);
    return end > at ? end : at + 1;
}

/* What is only context says what stands beside the rest. Escapes show it in
 * their own few bytes; the runs that longer codes would give are not known. */
static void walk_context(struct layer_writer *w, size_t end) {
    struct decode_found f;
    size_t at = 0;

    f.shuffled = false; /* only the ciphers say */
    while (at < end) {
        size_t next = at + 1;

        if (decode_escape_opens(w->in.at[at])) {
            next = decode_escape(w->in, at, &f);
            if (f.end > f.from && f.end <= end) write_run(w, &f, true);
            if (f.end > end) next = at + 1;
        }
        at = next;
    }
}

/* A code has reached into a stretch of a cipher, whose rest may be none. It is
 * read again from `at`, but not from each of a thousand codes: then the rest is
 * taken for one. */
static bool clip(struct decode_found *turned, size_t at, size_t again) {
    size_t kept = 0;

    if (again <= AGAIN_MIN + AGAIN_TIMES * at || at >= turned->end)
        return false;
    for (size_t i = 0; i < turned->count; i++)
        if (turned->bytes[i].from >= at)
            turned->bytes[kept++] = turned->bytes[i];
    turned->count = kept;
    turned->from = at;
    return kept > 0;
}

static void walk(struct layer_writer *w, size_t at) {
    struct decode_found here, turned;
    bool any = decode_cipher(w->in, at, w->quiet, &turned);
    size_t next, again = 0; /* bytes that were read more than once */

    here.shuffled = false; /* only the ciphers say */
    walk_context(w, at);
    for (;;) {
        /* A code may have reached into the stretch. */
        if (any && at > turned.from && !clip(&turned, at, again)) {
            any = decode_cipher(w->in, at, w->quiet, &turned);
            if (any) again += turned.end - at;
        }
        if (at >= w->in.size) break;
        if (w->quiet && !(any && at == turned.from))
            at = decode_plain(w->in, at, any ? turned.from : w->in.size);
        next = walk_one(w, at, &here);
        /* The letters of a code may look like a cipher, turned they are noise;
         * those of a cipher are no code. */
        if (any && at == turned.from && w->run_end <= at) {
            (void)found_at(w, &turned, false);
            at = turned.end;
            any = decode_cipher(w->in, at, w->quiet, &turned);
        } else {
            at = next;
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

size_t decoded_at(const struct text_view *v, size_t at) {
    size_t i = 0;

    if (!v->shuffled) return text_view_at(v, at);
    while (i < v->text.size && v->map_from[i] < at) i++;
    return i;
}

size_t decoded_raw(const struct text_view *layer, size_t at, size_t raw_size) {
    size_t raw = text_view_raw(layer, at, raw_size);

    for (size_t i = at; layer->shuffled && i < layer->text.size; i++)
        if (layer->map_from[i] < raw) raw = layer->map_from[i];
    return raw;
}

/* A run begins at `at`, and with it a block that is read on its own. */
static bool is_run_start(const struct decode_layer *l, size_t at) {
    for (size_t low = 0, high = l->run_count; low < high;) {
        size_t middle = low + (high - low) / 2;

        if (l->runs[middle].from == at) return true;
        if (l->runs[middle].from < at)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* False when nothing in `in` is encoded. */
static bool decode_layer(struct span in, size_t at,
                         const struct text_view *below,
                         const struct decode_quiet *quiet,
                         struct decode_layer *out, size_t *settled) {
    struct layer_writer w = {
        .in = in, .layer = out, .settled = in.size, .quiet = quiet};

    walk(&w, at);
    *settled = w.settled;
    if (!out->view.text.at) return false;
    finish_layer(&w, below);
    return true;
}

/* Beyond the last layer nothing is read, so nothing is open there. */
static bool decode(struct span text, size_t decided,
                   const struct decode_quiet *quiet, struct decoded *out,
                   struct err *err) {
    const struct text_view *below = NULL;
    struct span in = text;
    size_t at = decided;
    bool any = true;

    memset(out, 0, sizeof *out);
    out->settled = text.size;
    if (text.size > UINT32_MAX / 32)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes", text.size);
    while (any && out->count < DECODE_DEPTH) {
        size_t settled;

        any = decode_layer(in, at, below, quiet, &out->layers[out->count],
                           &settled);
        if (below) settled = decoded_raw(below, settled, text.size);
        if (settled < out->settled) out->settled = settled;
        if (!any) break;
        below = &out->layers[out->count++].view;
        in = span_bytes(&below->text);
        at = decoded_at(below, decided);
    }
    return true;
}

bool decode_text_slowly(struct span text, size_t decided, struct decoded *out,
                        struct err *err) {
    return decode(text, decided, NULL, out, err);
}

bool decode_text(struct span text, size_t decided, struct decoded *out,
                 struct err *err) {
    struct decode_quiet quiet;

    /* The tables take as long as a text of some hundred bytes. */
    if (text.size - decided < SHORT_TEXT)
        return decode_text_slowly(text, decided, out, err);
    decode_quiet_init(&quiet);
    return decode(text, decided, &quiet, out, err);
}

void decode_places(struct span text, const struct decode_quiet *quiet,
                   struct stretches *out) {
    struct layer_writer w = {
        .in = text, .settled = text.size, .quiet = quiet, .places = out};

    walk(&w, 0);
}

/* What is not settled in one layer may be anything in the next, where a cipher
 * that began before may then go on. */
static size_t cipher_begin(const struct text_view *layer, struct span text,
                           size_t decided, size_t settled) {
    struct span in = layer ? span_bytes(&layer->text) : text;
    size_t at = layer ? decoded_at(layer, decided) : decided;
    size_t end = layer ? decoded_at(layer, settled) : settled;
    struct decode_found f;

    if (at >= end) return settled;
    f.shuffled = false;
    (void)decode_cipher(span_slice(in, 0, end), at, NULL, &f);
    if (!f.open || f.begin >= end) return settled;
    return layer ? decoded_raw(layer, f.begin, text.size) : f.begin;
}

void decoded_settle(struct decoded *d, struct span text, size_t decided) {
    for (int depth = 1; depth < DECODE_DEPTH; depth++) {
        size_t settled = d->settled;

        if (settled == text.size) return;
        for (int k = -1; k < d->count; k++) {
            size_t begin = cipher_begin(k < 0 ? NULL : &d->layers[k].view, text,
                                        decided, d->settled);

            if (begin < settled) settled = begin;
        }
        if (settled == d->settled) return;
        d->settled = settled;
    }
}

/* The run that must be read with what stands at `at`: around it, or less than
 * `beside` bytes before it, for what it says tells whether a word begins here
 * and what a number is. Escapes show theirs by themselves, and the blocks of a
 * long code go on as they are. The runs are in order. */
static const struct decode_run *run_around(const struct decode_layer *l,
                                           size_t at, size_t beside) {
    size_t low = 0, high = l->run_count;
    const struct decode_run *r;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->runs[middle].end + beside <= at)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < l->run_count; low++) {
        r = &l->runs[low];
        if (r->from >= at) return NULL;
        if (r->end > at) return r;
        if (!r->escape && r->end - r->from < DECODE_BLOCK - 64) return r;
    }
    return NULL;
}

static size_t word_start(struct span s, size_t at) {
    size_t from = at;

    while (from && at - from < DECODE_BLOCK_MAX &&
           decode_token_letter(s.at[from - 1]))
        from--;
    return at - from < DECODE_BLOCK_MAX ? from : at;
}

static size_t edge(const struct decoded *d, struct span text, size_t at,
                   size_t beside) {
    size_t before;

    do {
        before = at;
        for (int k = d->count - 1; k >= 0; k--) {
            const struct text_view *below = k ? &d->layers[k - 1].view : NULL;
            size_t here = below ? decoded_at(below, at) : at;
            const struct decode_run *r =
                run_around(&d->layers[k], here, beside);
            size_t start = r ? r->from : here;

            if (start == here) continue;
            if (below) start = decoded_raw(below, start, text.size);
            if (start < at) at = start;
        }
        if (at < text.size && decode_token_letter(text.at[at]) &&
            !(d->count && is_run_start(&d->layers[0], at)))
            at = word_start(text, at);
    } while (at < before);
    return at;
}

/* Runs that follow each other closely must not keep a text of any length
 * waiting: of a long row only those count that touch. */
size_t decoded_edge(const struct decoded *d, struct span text, size_t at) {
    size_t wide = edge(d, text, at, DECODE_BESIDE);

    return at - wide <= DECODE_BLOCK_MAX ? wide : edge(d, text, at, 1);
}

void decoded_clear(struct decoded *d) {
    for (int i = 0; i < d->count; i++) {
        text_view_clear(&d->layers[i].view);
        free(d->layers[i].runs);
        odd_free(&d->layers[i].changed);
    }
    memset(d, 0, sizeof *d);
}
