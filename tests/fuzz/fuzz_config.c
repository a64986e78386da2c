/* fuzz_config.c - a configuration file: accepted or refused with its place,
 * and a refused one changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "proxy/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data, size};
    struct config c;
    struct err err = {0};

    config_init(&c);
    config_set_string(&c.model_name, "kept");
    if (!config_parse(&c, text, "f.yaml", &err)) {
        if (err.code == ERR_NONE || strncmp(err.text, "f.yaml:", 7) != 0 ||
            strcmp(c.model_name, "kept") != 0)
            abort();
    } else if (!c.host || !c.model || c.port < 0 || c.port > 65535) {
        abort();
    }
    (void)config_check(&c, &err);
    config_clear(&c);
    return 0;
}
