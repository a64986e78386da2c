/* fuzz_proxy_header.c - what a balancer says first: a header that is whole is
 * the same with more behind it, and no part of it is whole or wrong. */
#include <stdlib.h>
#include <string.h>

#include "proxy/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span in = {(const char *)data, size};
    char peer[PROXY_PEER_MAX] = "", part_peer[PROXY_PEER_MAX] = "";
    size_t used = 0, part_used = 0;
    enum proxy_header found = proxy_header_read(in, &used, peer);

    if (found == PROXY_HEADER_MORE && size >= PROXY_HEADER_MAX) abort();
    if (found != PROXY_HEADER_DONE) return 0;
    if (!used || used > size || !memchr(peer, '\0', sizeof peer)) abort();
    if (proxy_header_read(span_slice(in, 0, used), &part_used, part_peer) !=
            PROXY_HEADER_DONE ||
        part_used != used || strcmp(peer, part_peer) != 0)
        abort();
    for (size_t end = 0; end < used; end++)
        if (proxy_header_read(span_slice(in, 0, end), &part_used, part_peer) !=
            PROXY_HEADER_MORE)
            abort();
    return 0;
}
