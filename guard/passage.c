#include "guard/passage.h"

#include <string.h>

#include "base/utf8.h"
#include "guard/classify_types.h"

/* U+0964, with which a Hindi sentence ends. */
static const char danda[] = "\xe0\xa5\xa4";

/* Where a sentence or a line that goes to `at` ends there. */
static bool ends_at(struct span text, size_t at) {
    char before = text.at[at - 1];

    if (before == '\n') return true;
    if (!ascii_blank(text.at[at])) return false;
    return before == '.' || before == '!' || before == '?' ||
           (at >= 3 && !memcmp(text.at + at - 3, danda, 3));
}

/* The end of the passage that begins at `from`. */
static size_t passage_end(struct span text, size_t from) {
    size_t most = text.size - from;

    if (most > PASSAGE_BYTES_MAX) {
        most = utf8_back(text, from + PASSAGE_BYTES_MAX) - from;
    }
    for (size_t size = PASSAGE_BYTES_MIN; size < most; size++)
        if (ends_at(text, from + size)) return from + size;
    return from + most;
}

bool passage_worst(struct span text, passage_look *look, const void *user,
                   struct span *out) {
    float worst = 0;
    size_t from = 0;
    int count = 0;

    if (text.size < PASSAGE_TEXT_BYTES) return false;
    while (from < text.size) {
        size_t end = passage_end(text, from);
        struct span passage = span_slice(text, from, end);
        float bad = look(user, passage);

        if (!count++ || bad > worst) {
            worst = bad;
            *out = passage;
        }
        from = end;
    }
    return count > 1;
}

static float look(const void *ngram, struct span passage) {
    float logits[NGRAM_LABELS];

    ngram_logits(ngram, passage, logits);
    return logits[NGRAM_UNSAFE];
}

bool classify_passage(const struct classifier *c, struct span text,
                      struct span *out) {
    return passage_worst(text, look, c->ngram, out);
}
