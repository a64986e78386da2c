/* fuzz_head.c - any bytes as a head's file: refused, or a head that prints as
 * the same bytes and whose every score is a probability. The digest at the end
 * is made to fit, so that it does not stop everything. */
#include <stdlib.h>
#include <string.h>

#include "guard/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct head *h, struct span file) {
    const struct feature_ngram ngram = {7, 1};
    int width = head_width(h);
    float *hidden = xalloc_array((size_t)width, sizeof *hidden);
    struct features f = {.width = width,
                         .window_count = 1,
                         .windows = hidden,
                         .ngram_count = 1,
                         .ngrams = &ngram};
    struct bytes again = {0};
    float score = head_score(h, &f);

    if (!(score >= 0 && score <= 1)) abort();
    head_print(h, &again);
    if (!span_equal(span_bytes(&again), file)) abort();
    bytes_free(&again);
    free(hidden);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char digest[HASH_HEX_SIZE];
    struct err err = {0};
    struct bytes file = {0};
    struct head *h;

    bytes_put(&file, (struct span){(const char *)data, size});
    hash_sha256_hex(span_bytes(&file), digest);
    bytes_puts(&file, digest);
    h = head_parse(span_bytes(&file), "f", &err);
    if (h)
        use(h, span_bytes(&file));
    else if (err.code != ERR_INPUT || !err.text[0])
        abort();
    head_free(h);
    bytes_free(&file);
    return 0;
}
