/* fuzz_http.c - requests, in one piece and cut in two: both must be read
 * alike. The first byte says where the cut is. */
#include <stdlib.h>
#include <string.h>

#include "proxy/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_reader_limits limits = {64, 512, 8, 256};

/* Read all messages; a digest of what they were. */
static struct bytes read_all(struct span text, size_t cut) {
    struct http_reader *r = http_reader_new_request(&limits);
    struct bytes seen = {0};
    size_t at = 0;

    while (at < text.size) {
        struct span part = span_slice(text, at, at < cut ? cut : text.size);
        const struct http_request *q;
        size_t used;
        enum reader_state state = http_reader_feed(r, part, &used);

        if (used > part.size) abort();
        at += used;
        if (state == READER_FAILED) {
            bytes_puts(&seen, "failed");
            break;
        }
        if (state != READER_DONE) continue;
        q = http_reader_request(r);
        bytes_put(&seen, q->method);
        bytes_put(&seen, q->path);
        bytes_put(&seen, q->query);
        for (int i = 0; i < q->header_count; i++) {
            bytes_put(&seen, q->headers[i].name);
            bytes_put(&seen, q->headers[i].value);
        }
        bytes_put(&seen, q->body);
        bytes_puts(&seen, q->keep_alive ? "+" : "-");
        http_reader_next(r);
    }
    http_reader_free(r);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data + 1, size - 1};
    struct bytes whole, parts;

    if (size < 2) return 0;
    whole = read_all(text, 0);
    parts = read_all(text, data[0] % text.size);
    if (!span_equal(span_bytes(&whole), span_bytes(&parts))) abort();
    bytes_free(&whole);
    bytes_free(&parts);
    return 0;
}
