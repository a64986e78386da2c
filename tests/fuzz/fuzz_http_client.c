/* fuzz_http_client.c - responses as the client reads them, whole and cut, and
 * URLs of upstreams. */
#include <stdlib.h>
#include <string.h>

#include "proxy/http_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_reader_limits limits = {1, 512, 8, 256};

static struct bytes read_response(struct span text, size_t cut) {
    struct http_reader *r = http_reader_new_response(&limits);
    enum reader_state state = READER_IDLE;
    struct bytes seen = {0};
    size_t at = 0;

    while (at < text.size && state < READER_DONE) {
        struct span part = span_slice(text, at, at < cut ? cut : text.size);
        size_t used;

        state = http_reader_feed(r, part, &used);
        if (used > part.size) abort();
        at += used;
        bytes_put(&seen, http_reader_take_body(r));
    }
    if (state < READER_DONE) state = http_reader_finish(r);
    bytes_put(&seen, http_reader_take_body(r));
    if (seen.size > limits.body_bytes_max) abort();
    /* How much of a broken body was seen before it broke may depend on the
     * cut; that it broke may not. */
    if (state == READER_FAILED) {
        seen.size = 0;
        bytes_puts(&seen, "failed");
    } else {
        int count;
        const struct http_header *h = http_reader_headers(r, &count);

        if (http_reader_status(r) < 200) abort();
        for (int i = 0; i < count; i++) {
            bytes_put(&seen, h[i].name);
            bytes_put(&seen, h[i].value);
        }
    }
    http_reader_free(r);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data + 1, size - 1};
    struct http_url url;
    struct bytes whole, parts;

    if (size < 2) return 0;
    if (http_url_parse(text, &url, NULL) &&
        (!url.host[0] || url.port < 1 || url.port > 65535))
        abort();
    whole = read_response(text, 0);
    parts = read_response(text, data[0] % text.size);
    if (!span_equal(span_bytes(&whole), span_bytes(&parts))) abort();
    bytes_free(&whole);
    bytes_free(&parts);
    return 0;
}
