/* Which parts of a long text must be decoded, when most of it is plain. */
#include "guard/decode_types.h"
#include "guard/plain.h"

/* A part's beginning is sought in so many times its reach. */
enum { WIDE = 3 };

/* Where the part begins that has the run at `at`: at the text's beginning when
 * no place is known to do. */
static size_t part_begin(const struct decode_quiet *q, struct span text,
                         size_t least, size_t at, size_t reach) {
    size_t end = plain_reach_back(text, at, reach);
    size_t from = end > WIDE * reach ? end - WIDE * reach : 0;
    size_t begin;

    if (from < least) from = least;
    if (end <= from) return least;
    begin = decode_calm(q, text, from, end);
    return begin < end ? begin : least;
}

bool decode_parts(struct span text, size_t reach, struct stretches *out,
                  struct err *err) {
    struct stretches places = {NULL, 0, 0, 0};
    struct decode_quiet q;

    if (text.size > UINT32_MAX / 32)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes", text.size);
    decode_quiet_init(&q);
    decode_places(text, &q, &places);
    for (size_t i = 0; i < places.count; i++) {
        size_t least = out->count ? out->list[out->count - 1].end : 0;
        size_t from = places.list[i].from, end;

        i = plain_group(text, &places, i, reach);
        end = plain_reach_on(text, places.list[i].end, reach);
        if (end <= least) continue;
        from = from > least ? part_begin(&q, text, least, from, reach) : least;
        odd_put(out, from, decode_calm(&q, text, end, text.size));
    }
    odd_free(&places);
    return true;
}
