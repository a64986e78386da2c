/* fuzz_readable.c - any page, cut to any size, ends as valid UTF-8 within the
 * limit. The first byte chooses the limit and the charset. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "tools/readable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const charsets[] = {NULL, "utf-8", "shift_jis",
                                           "windows-1251"};
    struct bytes out = {0};
    struct span text;
    const char *charset;
    bool cut;

    if (!size) return 0;
    readable_init();
    out.limit = 1 + (size_t)(data[0] >> 2) * 100;
    charset = charsets[data[0] & 3];
    text = (struct span){(const char *)data + 1, size - 1};
    for (int plain = 0; plain < 2; plain++) {
        bool ok = plain ? readable_plain(&out, text, charset, &cut, NULL)
                        : readable_html(&out, text, "https://a.example/b",
                                        charset, &cut, NULL);

        if (ok && !utf8_valid(span_bytes(&out))) abort();
        if (out.size > out.limit) abort();
        bytes_free(&out);
    }
    return 0;
}
