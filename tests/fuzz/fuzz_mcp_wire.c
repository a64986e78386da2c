/* fuzz_mcp_wire.c - a server's output, cut in two at any place, gives the same
 * messages as in one piece, and every message has a kind and a text. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "tools/mcp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_message(void *user, const cJSON *message) {
    const struct mcp_incoming in = mcp_incoming_read(message);
    uint64_t *digest = user;
    struct bytes text = {.limit = 512};
    struct bytes reply = {0};

    (void)!mcp_result_text(message, &text);
    if (!utf8_valid(span_bytes(&text)) || text.size > 512) abort();
    if (in.kind == MCP_REQUEST) {
        cJSON *back;

        mcp_put_reply(&reply, &in);
        back = mcp_parse(span_bytes(&reply), NULL);
        if (!back) abort();
        cJSON_Delete(back);
    }
    *digest = hash_fnv1a(*digest, span_bytes(&text));
    *digest = hash_fnv1a(*digest, (struct span){(const char *)&in.kind, 1});
    bytes_free(&text);
    bytes_free(&reply);
    return true;
}

static bool feed(struct span all, size_t cut, uint64_t *digest) {
    struct mcp_lines lines = {0};
    bool ok = mcp_lines_feed(&lines, span_slice(all, 0, cut), on_message,
                             digest, NULL) &&
              mcp_lines_feed(&lines, span_slice(all, cut, all.size), on_message,
                             digest, NULL);

    mcp_lines_clear(&lines);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t whole = HASH_FNV1A_START, parts = HASH_FNV1A_START;
    struct span all;
    bool ok;

    if (!size) return 0;
    all = (struct span){(const char *)data + 1, size - 1};
    ok = feed(all, all.size, &whole);
    if (feed(all, size > 1 ? data[0] % size : 0, &parts) != ok) abort();
    if (whole != parts) abort();
    return 0;
}
