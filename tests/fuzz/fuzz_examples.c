/* fuzz_examples.c - any bytes as labelled examples: refused with a place, or
 * whole and within the limits. */
#include <stdlib.h>
#include <string.h>

#include "guard/examples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span file = {(const char *)data, size};
    struct examples e;
    struct err err = {0};

    if (!examples_parse(&e, file, "f", &err)) {
        if (err.code != ERR_INPUT || err.text[0] != 'f' || e.list) abort();
        return 0;
    }
    if (e.count < EXAMPLES_LEAST || e.count > EXAMPLES_MAX) abort();
    for (int i = 0; i < e.count; i++)
        if (!e.list[i].size || strlen(e.list[i].text) != e.list[i].size)
            abort();
    examples_clear(&e);
    return 0;
}
