/* fuzz_gguf.c - any bytes as a model file: opened or refused, and if opened,
 * everything in it can be read, and made a model of. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct gguf *g) {
    struct bytes text = {0};
    volatile uint8_t sum = 0;

    for (size_t i = 0; gguf_describe(g, i, &text); i++)
        bytes_drop(&text, text.size);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        for (size_t j = 0; j < t->bytes; j++)
            sum = (uint8_t)(sum + ((const uint8_t *)t->data)[j]);
    }
    bytes_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct model_options options = {1, 1, false};
    char path[64];
    struct err err;
    struct gguf *g;
    int fd = memfd_create("gguf", 0);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    g = gguf_open(path, &err);
    if (g) {
        walk(g);
        model_close(model_open(g, &options, &err));
    }
    gguf_close(g);
    close(fd);
    return 0;
}
