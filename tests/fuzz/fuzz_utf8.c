/* fuzz_utf8.c - decoding takes every byte once, agrees with utf8_valid(), and
 * a text cut where utf8_complete() says decodes as the whole does. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data, size}, rest = text;
    size_t complete = utf8_complete(text);
    bool all = true, met = complete == size;

    if (complete > size || size - complete > UTF8_MAX - 1) abort();
    while (rest.size) {
        char out[UTF8_MAX];
        uint32_t point;
        bool valid;
        size_t took = utf8_decode(rest, &point, &valid);

        if ((size_t)(rest.at - text.at) == complete) met = true;
        if (took < 1 || took > UTF8_MAX || took > rest.size) abort();
        if (valid &&
            (utf8_encode(point, out) != took || memcmp(out, rest.at, took)))
            abort();
        all = all && valid;
        rest = span_slice(rest, took, rest.size);
    }
    if (!met || all != utf8_valid(text)) abort();
    return 0;
}
