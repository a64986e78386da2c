#include "guard/ngram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "engine/gguf.h"
#include "guard/text.h"

enum {
    NGRAM_BITS_MAX = 24,
    NGRAM_POINTS = 5,   /* longest letter n-gram, in code points */
    NGRAM_COLUMNS = 4,  /* of the table: idf, then one weight for each label */
    NGRAM_SET_BITS = 8, /* the set of a new text */
    /* What the end of a word adds: itself, its pair, its n-grams of 2..5. */
    NGRAM_ENDING = 2 + NGRAM_POINTS - 1
};

struct ngram {
    struct gguf *gguf;   /* holds the mapping that `table` points into */
    const int8_t *table; /* (bucket, column) */
    uint32_t bits;
    float scale[NGRAM_LABELS];
    float bias[NGRAM_LABELS];
    bool with_prompt;
    uint64_t spread; /* odd and random: no text can make the set slow */
};

/* The sums over a set of buckets. Integers, so the order cannot matter. */
struct sums {
    int64_t square; /* of idf */
    int64_t dot[NGRAM_LABELS];
};

struct ngram_text {
    const struct ngram *n;
    struct sums sums;
    uint32_t *slots; /* a bucket plus one, or 0: open addressing */
    uint32_t slot_bits;
    uint32_t used;
    char part[UTF8_MAX]; /* a UTF-8 sequence not yet complete */
    size_t part_size;
    int words; /* complete ones */
    bool in_word;
    bool has_pair; /* `pair` begins with a complete word */
    uint64_t word; /* hash of 'w' and the word so far */
    uint64_t pair; /* hash of 'b', the word before, ' ' and the word */
    uint64_t lead; /* hash of 'b' and the word so far */
    uint64_t grams[NGRAM_POINTS]; /* by start, newest first */
    int gram_count;
    size_t letters, foreign; /* of them, not Latin: ngram_text_foreign() */
};

static bool read_floats(const struct gguf *gguf, const char *key,
                        float out[NGRAM_LABELS], struct err *err) {
    if (gguf_array_count(gguf, key) != NGRAM_LABELS ||
        !gguf_array_f32(gguf, key, out, NGRAM_LABELS))
        return err_set(err, ERR_INPUT, "%s: %s is not three floats",
                       gguf_path(gguf), key);
    for (int i = 0; i < NGRAM_LABELS; i++)
        if (!isfinite(out[i]))
            return err_set(err, ERR_INPUT, "%s: %s is not finite",
                           gguf_path(gguf), key);
    return true;
}

static bool read_table(struct ngram *n, struct err *err) {
    const struct gguf_tensor *t = gguf_tensor(n->gguf, "ngram.table");
    const char *path = gguf_path(n->gguf);
    struct span text;

    if (!gguf_u32(n->gguf, "corral.ngram.bits", &n->bits) || n->bits < 1 ||
        n->bits > NGRAM_BITS_MAX)
        return err_set(err, ERR_INPUT,
                       "%s: corral.ngram.bits is not between 1 and %d", path,
                       NGRAM_BITS_MAX);
    if (!t || t->type != GGUF_I8 || t->size[0] != NGRAM_COLUMNS ||
        t->size[1] != UINT64_C(1) << n->bits || t->size[2] != 1 ||
        t->size[3] != 1)
        return err_set(err, ERR_INPUT, "%s: ngram.table is not I8 of [4, 2^%u]",
                       path, (unsigned)n->bits);
    n->table = t->data;
    if (!gguf_string(n->gguf, "corral.ngram.text", &text) ||
        !(span_is(text, "response") || span_is(text, "prompt+response")))
        return err_set(err, ERR_INPUT,
                       "%s: corral.ngram.text is neither \"response\" nor "
                       "\"prompt+response\"",
                       path);
    n->with_prompt = span_is(text, "prompt+response");
    return read_floats(n->gguf, "corral.ngram.scale", n->scale, err) &&
           read_floats(n->gguf, "corral.ngram.bias", n->bias, err);
}

struct ngram *ngram_open(const char *path, struct err *err) {
    struct ngram *n = xalloc(sizeof *n);

    n->spread = hash_random_u64() | 1;
    n->gguf = gguf_open(path, err);
    if (!n->gguf || !read_table(n, err)) {
        ngram_close(n);
        return NULL;
    }
    return n;
}

void ngram_close(struct ngram *n) {
    if (!n) return;
    gguf_close(n->gguf);
    free(n);
}

bool ngram_with_prompt(const struct ngram *n) {
    return n->with_prompt;
}

static uint32_t bucket_of(const struct ngram *n, uint64_t hash) {
    hash ^= hash >> 32;
    return (uint32_t)(hash & ((UINT64_C(1) << n->bits) - 1));
}

static void sums_add(struct sums *s, const struct ngram *n, uint32_t bucket) {
    const int8_t *row = n->table + (size_t)bucket * NGRAM_COLUMNS;

    s->square += row[0] * row[0];
    for (int l = 0; l < NGRAM_LABELS; l++) s->dot[l] += row[0] * row[1 + l];
}

/* The slot that holds `bucket`, or the free one where it belongs. */
static uint32_t *set_slot(const struct ngram_text *t, uint32_t *slots,
                          uint32_t slot_bits, uint32_t bucket) {
    uint32_t mask = (UINT32_C(1) << slot_bits) - 1;
    uint32_t at = (uint32_t)((bucket * t->n->spread) >> (64 - slot_bits));

    while (slots[at] && slots[at] != bucket + 1) at = (at + 1) & mask;
    return &slots[at];
}

static void set_grow(struct ngram_text *t) {
    uint32_t bits = t->slot_bits + 1;
    uint32_t *slots = xalloc_array((size_t)1 << bits, sizeof *slots);

    for (size_t i = 0; i < (size_t)1 << t->slot_bits; i++)
        if (t->slots[i])
            *set_slot(t, slots, bits, t->slots[i] - 1) = t->slots[i];
    free(t->slots);
    t->slots = slots;
    t->slot_bits = bits;
}

static void add_feature(struct ngram_text *t, uint64_t hash) {
    uint32_t bucket = bucket_of(t->n, hash);
    uint32_t *slot = set_slot(t, t->slots, t->slot_bits, bucket);

    if (*slot) return;
    *slot = bucket + 1;
    t->used++;
    sums_add(&t->sums, t->n, bucket);
    /* At most half full; there are no more buckets than 2^bits. */
    if (t->used > UINT32_C(1) << (t->slot_bits - 1)) set_grow(t);
}

static uint64_t hash_text(uint64_t state, const char *text) {
    return hash_fnv1a(state, span_of(text));
}

/* One more code point of ' ' + word + ' ': it lengthens the n-grams begun at
 * the four points before it and begins another. Their hashes go to `out`. */
static int step_grams(uint64_t grams[NGRAM_POINTS], int *count, struct span s,
                      uint64_t out[NGRAM_POINTS - 1]) {
    int found = 0;
    int kept = *count < NGRAM_POINTS - 1 ? *count : NGRAM_POINTS - 1;

    for (int i = kept; i > 0; i--) {
        grams[i] = hash_fnv1a(grams[i - 1], s);
        out[found++] = grams[i];
    }
    grams[0] = hash_fnv1a(hash_text(HASH_FNV1A_START, "c"), s);
    *count = kept + 1;
    return found;
}

static void word_begin(struct ngram_text *t) {
    uint64_t out[NGRAM_POINTS - 1];

    t->in_word = true;
    t->word = hash_text(HASH_FNV1A_START, "w");
    t->lead = hash_text(HASH_FNV1A_START, "b");
    t->gram_count = 0;
    (void)step_grams(t->grams, &t->gram_count, span_of(" "), out);
}

static void word_point(struct ngram_text *t, uint32_t point) {
    uint64_t out[NGRAM_POINTS - 1];
    char utf8[UTF8_MAX];
    struct span s = {utf8, utf8_encode(point, utf8)};
    int found = step_grams(t->grams, &t->gram_count, s, out);

    for (int i = 0; i < found; i++) add_feature(t, out[i]);
    t->word = hash_fnv1a(t->word, s);
    t->lead = hash_fnv1a(t->lead, s);
    t->pair = hash_fnv1a(t->pair, s);
}

/* The features that the end of the word at hand would add. */
static int word_ending(const struct ngram_text *t, uint64_t out[NGRAM_ENDING]) {
    uint64_t grams[NGRAM_POINTS];
    int count = t->gram_count;
    int found;

    memcpy(grams, t->grams, sizeof grams);
    found = step_grams(grams, &count, span_of(" "), out);
    out[found++] = t->word;
    if (t->has_pair) out[found++] = t->pair;
    return found;
}

static void word_end(struct ngram_text *t) {
    uint64_t out[NGRAM_ENDING];
    int found = word_ending(t, out);

    for (int i = 0; i < found; i++) add_feature(t, out[i]);
    t->in_word = false;
    t->words++;
    t->has_pair = true;
    t->pair = hash_text(t->lead, " ");
}

static void add_point(struct ngram_text *t, uint32_t point) {
    if (!text_is_word_point(point)) {
        if (t->in_word) word_end(t);
        return;
    }
    if (!t->in_word) {
        if (t->words == NGRAM_WORDS_MAX) return;
        word_begin(t);
    }
    /* The dotted capital I alone becomes two points in lower case, and the
     * trainer leaves such a letter as it is. */
    word_point(t, point == 0x130 ? point : text_lower_point(point));
}

struct ngram_text *ngram_text_new(const struct ngram *n) {
    struct ngram_text *t = xalloc(sizeof *t);

    t->n = n;
    t->slots = xalloc_array((size_t)1 << NGRAM_SET_BITS, sizeof *t->slots);
    t->slot_bits = NGRAM_SET_BITS;
    return t;
}

void ngram_text_free(struct ngram_text *t) {
    if (!t) return;
    free(t->slots);
    free(t);
}

/* By ranges: punctuation, symbols and what is above them are not counted. */
static void count_letter(struct ngram_text *t, uint32_t point) {
    bool ascii =
        (point >= 'A' && point <= 'Z') || (point >= 'a' && point <= 'z');
    bool other = (point >= 0xc0 && point < 0x2000) ||
                 (point >= 0x3000 && point < 0xf000);

    t->letters += ascii || other;
    t->foreign += other && point >= 0x340;
}

/* All whole code points of `s`; what is left is the head of one. */
static struct span add_points(struct ngram_text *t, struct span s) {
    size_t end = utf8_complete(s);
    size_t at = 0;

    while (at < end) {
        uint32_t point;

        at += utf8_decode(span_slice(s, at, s.size), &point, NULL);
        add_point(t, point);
        count_letter(t, point);
    }
    return span_slice(s, at, s.size);
}

void ngram_text_add(struct ngram_text *t, struct span s) {
    while (t->part_size && s.size) {
        char joined[UTF8_MAX + 1];
        struct span rest;

        memcpy(joined, t->part, t->part_size);
        joined[t->part_size] = s.at[0];
        rest = add_points(t, (struct span){joined, t->part_size + 1});
        memcpy(t->part, rest.at, rest.size);
        t->part_size = rest.size;
        s = span_slice(s, 1, s.size);
    }
    if (!s.size) return;
    s = add_points(t, s);
    memcpy(t->part, s.at, s.size);
    t->part_size = s.size;
}

/* What the word at hand would add if it ended here: distinct buckets that the
 * text does not have yet. */
static int fresh_ending(const struct ngram_text *t,
                        uint32_t buckets[NGRAM_ENDING]) {
    uint64_t ending[NGRAM_ENDING];
    int found = t->in_word ? word_ending(t, ending) : 0, count = 0;

    for (int i = 0; i < found; i++) {
        uint32_t bucket = bucket_of(t->n, ending[i]);
        bool seen = *set_slot(t, t->slots, t->slot_bits, bucket) != 0;

        for (int j = 0; j < count; j++) seen = seen || buckets[j] == bucket;
        if (!seen) buckets[count++] = bucket;
    }
    return count;
}

/* The word at hand counts as if it ended here. A part of a UTF-8 sequence
 * would be U+FFFD, which is no letter and ends a word just the same. */
void ngram_text_logits(const struct ngram_text *t, float out[NGRAM_LABELS]) {
    struct sums sums = t->sums;
    uint32_t ending[NGRAM_ENDING];
    int count = fresh_ending(t, ending);

    for (int i = 0; i < count; i++) sums_add(&sums, t->n, ending[i]);
    /* The scale of idf stands above and below the line: it cancels out. */
    for (int l = 0; l < NGRAM_LABELS; l++) {
        double dot = (double)sums.dot[l] * (double)t->n->scale[l];
        double norm = sqrt((double)sums.square);

        out[l] = (float)((norm > 0 ? dot / norm : 0) + (double)t->n->bias[l]);
    }
}

void ngram_text_each(const struct ngram_text *t, ngram_each *each, void *user) {
    uint32_t ending[NGRAM_ENDING];
    int count = fresh_ending(t, ending);

    for (size_t i = 0; i < (size_t)1 << t->slot_bits; i++)
        if (t->slots[i]) each(user, t->slots[i] - 1);
    for (int i = 0; i < count; i++) each(user, ending[i]);
}

float ngram_text_foreign(const struct ngram_text *t) {
    return t->letters ? (float)t->foreign / (float)t->letters : 0;
}

void ngram_logits(const struct ngram *n, struct span text,
                  float out[NGRAM_LABELS]) {
    struct ngram_text *t = ngram_text_new(n);

    ngram_text_add(t, text);
    ngram_text_logits(t, out);
    ngram_text_free(t);
}
