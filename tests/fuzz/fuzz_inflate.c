/* fuzz_inflate.c - a packed body, in one piece and cut in two by its first
 * byte: both say the same, and never more than the limit. */
#include <stdlib.h>
#include <string.h>

#include "proxy/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 4096, PACKED_MAX = 2048 };

static bool unpack(struct span in, size_t cut, struct bytes *out) {
    struct inflate *i = inflate_new(PACKED_MAX);
    bool ok = inflate_push(i, span_slice(in, 0, cut), out, NULL) &&
              inflate_push(i, span_slice(in, cut, in.size), out, NULL) &&
              inflate_end(i, NULL);

    inflate_free(i);
    if (out->size > ROOM) abort();
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span in = {(const char *)data + 1, size - 1};
    struct bytes whole = {.limit = ROOM}, parts = {.limit = ROOM};
    bool ok;

    if (size < 2) return 0;
    ok = unpack(in, 0, &whole);
    if (unpack(in, data[0] % in.size, &parts) != ok) abort();
    if (ok && !span_equal(span_bytes(&whole), span_bytes(&parts))) abort();
    bytes_free(&whole);
    bytes_free(&parts);
    return 0;
}
