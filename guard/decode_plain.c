/* What no code begins with: words, blanks and marks of prose, 64 bytes at a
 * look. */
#include "guard/decode_types.h"
#include "guard/look.h"

size_t decode_plain(struct span in, size_t at, size_t end) {
    const struct look *look = look_best();

    while (end - at > LOOK_SIZE) {
        struct look_code code = look->code(in.at + at);

        at += code.at;
        /* Or a run as long as the block. */
        if (code.found || !code.at) break;
    }
    return at;
}
