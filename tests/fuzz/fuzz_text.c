/* fuzz_text.c - any bytes folded: valid UTF-8, a map that stays inside and in
 * order, and a settled part that does not change with what follows. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "guard/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct text_view *v, size_t size) {
    if (!utf8_valid((struct span){v->text.at, v->text.size})) abort();
    if (v->settled > v->text.size) abort();
    for (size_t i = 0; i < v->text.size; i++) {
        if (v->map_from[i] >= v->map_end[i] || v->map_end[i] > size) abort();
        if (i && v->map_from[i] < v->map_from[i - 1]) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span raw = {(const char *)data, size};
    struct span head = span_slice(raw, 0, size / 2);
    struct text_view whole, part;

    if (!text_fold(raw, &whole, NULL)) return 0;
    head.size = utf8_complete(head);
    if (!text_fold(head, &part, NULL)) abort();
    check(&whole, size);
    check(&part, head.size);
    if (part.settled > whole.text.size ||
        (part.settled && memcmp(part.text.at, whole.text.at, part.settled)))
        abort();
    text_view_clear(&whole);
    text_view_clear(&part);
    if (!text_fold_plain(raw, &whole, NULL)) abort();
    check(&whole, size);
    text_view_clear(&whole);
    return 0;
}
