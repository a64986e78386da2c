/* fuzz_calculator.c - any text is a number or an error, in bounded time. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "tools/tool_builtin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char out[64] = "";
    struct err err = {0};

    if (!calculator_evaluate((struct span){(const char *)data, size}, out,
                             sizeof out, &err)) {
        if (err.code != ERR_INPUT || !err.text[0]) abort();
    } else if (!isfinite(strtod(out, NULL))) {
        abort();
    }
    return 0;
}
