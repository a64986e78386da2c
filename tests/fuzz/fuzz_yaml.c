/* fuzz_yaml.c - any bytes: a tree whose nodes all have a place, or an error
 * that names one. */
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct yaml *yaml, const cJSON *node) {
    const cJSON *child;
    int line, column;

    yaml_place(yaml, node, &line, &column);
    if (line < 1 || column < 1) abort();
    cJSON_ArrayForEach(child, node) walk(yaml, child);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    struct yaml *yaml =
        yaml_parse((struct span){(const char *)data, size}, "f", &err);

    if (yaml)
        walk(yaml, yaml_root(yaml));
    else if (err.code == ERR_NONE || strncmp(err.text, "f:", 2) != 0)
        abort();
    yaml_close(yaml);
    return 0;
}
