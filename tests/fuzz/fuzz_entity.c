/* fuzz_entity.c - any bytes: hits in order, apart and inside, and what was
 * decided in a half stays so in the whole. */
#include <stdlib.h>

#include "guard/entity.h"

#define ALL ((UINT64_C(1) << ENTITY_KIND_COUNT) - 1)

enum { HITS = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct entity_hit whole[HITS], part[HITS];
    struct span text = {(const char *)data, size};
    struct span head = span_slice(text, 0, size / 2);
    int all = entity_scan(text, ALL, whole, HITS), i;
    int some = entity_scan(head, ALL, part, HITS);
    size_t hold = entity_hold(head, ALL);

    if (all == HITS || some == HITS) return 0;
    for (i = 0; i < all; i++) {
        if (whole[i].from >= whole[i].end || whole[i].end > size) abort();
        if (i && whole[i].from < whole[i - 1].end) abort();
    }
    for (i = some - 1; i >= 0; i--)
        if (part[i].from < hold && part[i].end > hold) hold = part[i].from;
    for (i = 0; i < all && whole[i].from < hold; i++)
        if (i >= some || part[i].from != whole[i].from ||
            part[i].end != whole[i].end)
            abort();
    if (i < some && part[i].from < hold) abort();
    return 0;
}
