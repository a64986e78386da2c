/* fuzz_reading.c - any bytes read out for the classifier, cut into passages and
 * told by their language: no text makes one of them fail, its passages are all
 * of it, and what is spelled out of valid UTF-8 is valid. */
#include <stdlib.h>

#include "base/utf8.h"
#include "guard/decode.h"
#include "guard/language.h"
#include "guard/passage.h"
#include "guard/reading.h"
#include "guard/reading_apart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct span text;
    size_t end;
};

static float look(const void *user, struct span passage) {
    struct seen *s = (struct seen *)(uintptr_t)user;

    if (!passage.size || passage.at != s->text.at + s->end) abort();
    s->end += passage.size;
    if (utf8_valid(s->text) && !utf8_valid(passage)) abort();
    return (float)passage.size;
}

/* What codes say need not be valid, nor what letters set apart spell. */
static bool has_codes(struct span text) {
    struct bytes joined = {.at = NULL};
    struct decoded d;
    size_t changed = 0;
    bool any = decode_text(text, 0, &d, NULL) && d.count;

    any = reading_apart(text, &joined, &changed) || any;
    bytes_free(&joined);
    decoded_clear(&d);
    return any;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data, size}, worst;
    struct seen s = {text, 0};
    struct bytes out = {0};
    bool instead;

    if (reading_of(text, &out, &instead)) {
        if (!out.size) abort();
        if (utf8_valid(text) && !has_codes(text) &&
            !utf8_valid(span_bytes(&out)))
            abort();
    }
    bytes_free(&out);
    (void)language_of(text);
    if (passage_worst(text, look, &s, &worst) && s.end != size) abort();
    return 0;
}
