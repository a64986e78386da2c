/* fuzz_vectors.c - what another server answers when it is asked for vectors:
 * refused, and nothing is left, or all of them, of one size, each number one.
 * The first byte is how many were asked for. */
#include <math.h>
#include <stdlib.h>

#include "proxy/vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const float *vectors, int count, int size) {
    if (!vectors || size < 1 || size > VECTORS_SIZE_MAX) abort();
    for (size_t i = 0; i < (size_t)count * (size_t)size; i++)
        if (!isfinite(vectors[i])) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int count = size ? data[0] % 8 + 1 : 1, dimensions = 0, tokens = -1;
    struct span text = {(const char *)data + (size > 0), size - (size > 0)};
    struct err err = {0};
    cJSON *json = json_parse(text, &err);
    float *vectors = (float *)&err; /* anything but NULL */

    if (!json) return 0;
    if (vectors_read(json, count, &vectors, &dimensions, &tokens, &err))
        check(vectors, count, dimensions);
    else if (vectors || err.code != ERR_IO)
        abort();
    if (tokens < -1) abort();
    free(vectors);
    cJSON_Delete(json);
    return 0;
}
