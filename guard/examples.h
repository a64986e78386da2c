/* examples.h - the labelled texts of a `use: examples` check: JSON lines of
 * {"text": ..., "label": 1 | 0 | "block" | "allow"}. */
#ifndef CORRAL_GUARD_EXAMPLES_H
#define CORRAL_GUARD_EXAMPLES_H

#include "base/hash.h"

enum {
    EXAMPLES_LEAST = 20,
    EXAMPLES_MAX = 2000,
    EXAMPLES_LABEL_LEAST = 5, /* of each label */
    EXAMPLES_TEXT_MAX = 64 << 10,
    EXAMPLES_BYTES_MAX = 32 << 20 /* of the file */
};

struct example {
    char *text; /* NUL-terminated */
    size_t size;
    bool positive; /* to act on */
    int line;
};

struct examples {
    struct example *list;
    int count, positives;
    char digest[HASH_HEX_SIZE]; /* of the file's bytes */
};

/* Read and check. A mistake is ERR_INPUT, "path:line: reason". `out` is empty
 * when this fails. */
MUST_USE bool examples_read(struct examples *out, const char *path,
                            struct err *err);
MUST_USE bool examples_parse(struct examples *out, struct span file,
                             const char *path, struct err *err);
void examples_clear(struct examples *e);

#endif
