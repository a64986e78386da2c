/* The file: a magic word, width and n-gram bits (u32), bias (f32), the two
 * digests (64 hex digits each), the weights (f32), and a digest of all that.
 * Numbers are little-endian. */
#include "guard/head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guard/head_types.h"

static const char magic[] = "corhead1";

enum {
    MAGIC_SIZE = sizeof magic - 1,
    DIGEST_SIZE = HASH_HEX_SIZE - 1,
    FIXED_SIZE = MAGIC_SIZE + 3 * 4 + 2 * DIGEST_SIZE
};

size_t head_weight_count(int width) {
    return (size_t)width + ((size_t)1 << FEATURE_NGRAM_BITS);
}

struct head *head_new(int width) {
    struct head *h = xalloc(sizeof *h);

    h->width = width;
    h->weights = xalloc_array(head_weight_count(width), sizeof *h->weights);
    return h;
}

void head_free(struct head *h) {
    if (!h) return;
    free(h->weights);
    free(h);
}

int head_width(const struct head *h) {
    return h->width;
}

const char *head_examples(const struct head *h) {
    return h->examples;
}

const char *head_model(const struct head *h) {
    return h->model;
}

float head_row_score(const struct head *h, const float *hidden,
                     const struct feature_ngram *ngrams, int ngram_count) {
    const float *by_bucket = h->weights + h->width;
    double z = (double)h->bias;

    for (int i = 0; i < h->width; i++)
        z += (double)h->weights[i] * (double)hidden[i];
    for (int i = 0; i < ngram_count; i++)
        z += (double)by_bucket[ngrams[i].bucket] * (double)ngrams[i].value;
    return (float)(1 / (1 + exp(-z)));
}

float head_score(const struct head *h, const struct features *f) {
    float best = 0;

    for (int w = 0; w < f->window_count; w++) {
        float score =
            head_row_score(h, f->windows + (size_t)w * (size_t)f->width,
                           f->ngrams, f->ngram_count);

        if (score > best) best = score;
    }
    return best;
}

/* ---- the file ---- */

void head_print(const struct head *h, struct bytes *out) {
    uint32_t numbers[2] = {(uint32_t)h->width, FEATURE_NGRAM_BITS};
    size_t from = out->size;
    char digest[HASH_HEX_SIZE];

    bytes_puts(out, magic);
    bytes_put(out, (struct span){(const char *)numbers, sizeof numbers});
    bytes_put(out, (struct span){(const char *)&h->bias, sizeof h->bias});
    bytes_puts(out, h->examples);
    bytes_puts(out, h->model);
    bytes_put(out,
              (struct span){(const char *)h->weights,
                            head_weight_count(h->width) * sizeof *h->weights});
    hash_sha256_hex(span_slice(span_bytes(out), from, out->size), digest);
    bytes_puts(out, digest);
}

static bool is_digest(struct span s) {
    for (size_t i = 0; i < s.size; i++)
        if (!strchr("0123456789abcdef", s.at[i]) || !s.at[i]) return false;
    return true;
}

static bool is_whole(struct span file) {
    char digest[HASH_HEX_SIZE];

    hash_sha256_hex(span_slice(file, 0, file.size - DIGEST_SIZE), digest);
    return span_is(span_slice(file, file.size - DIGEST_SIZE, file.size),
                   digest);
}

static bool all_finite(const struct head *h) {
    for (size_t i = 0; i < head_weight_count(h->width); i++)
        if (!isfinite(h->weights[i])) return false;
    return isfinite(h->bias);
}

struct head *head_parse(struct span file, const char *name, struct err *err) {
    const char *at = file.at + MAGIC_SIZE;
    const char *digests = at + 3 * 4;
    struct head *h = NULL;
    uint32_t numbers[2];
    size_t weights;

    if (file.size < FIXED_SIZE + DIGEST_SIZE ||
        !span_starts(file, span_of(magic))) {
        (void)err_set(err, ERR_INPUT, "%s: not a head", name);
        return NULL;
    }
    memcpy(numbers, at, sizeof numbers);
    if (numbers[0] < 1 || numbers[0] > HEAD_WIDTH_MAX ||
        numbers[1] != FEATURE_NGRAM_BITS) {
        (void)err_set(err, ERR_INPUT, "%s: a head of another shape", name);
        return NULL;
    }
    weights = head_weight_count((int)numbers[0]) * sizeof *h->weights;
    if (file.size != FIXED_SIZE + weights + DIGEST_SIZE || !is_whole(file) ||
        !is_digest((struct span){digests, 2 * DIGEST_SIZE})) {
        (void)err_set(err, ERR_INPUT, "%s: the head is damaged", name);
        return NULL;
    }
    h = head_new((int)numbers[0]);
    memcpy(&h->bias, at + sizeof numbers, sizeof h->bias);
    memcpy(h->examples, digests, DIGEST_SIZE);
    memcpy(h->model, digests + DIGEST_SIZE, DIGEST_SIZE);
    memcpy(h->weights, file.at + FIXED_SIZE, weights);
    if (all_finite(h)) return h;
    (void)err_set(err, ERR_INPUT, "%s: a weight is not finite", name);
    head_free(h);
    return NULL;
}
