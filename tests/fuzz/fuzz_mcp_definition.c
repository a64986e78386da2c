/* fuzz_mcp_definition.c - what a server says of a tool: the text that is judged
 * has its description, whatever else is there. */
#include <stdlib.h>

#include "tools/mcp_definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cJSON *json = json_parse((struct span){(const char *)data, size}, NULL);
    const char *about = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(json, "description"));
    struct bytes text = {.limit = 2048};

    if (json && mcp_definition_text(json, &text, NULL) && about &&
        span_find(span_bytes(&text), span_of(about)) == SIZE_MAX)
        abort();
    if (text.size > 2048) abort();
    bytes_free(&text);
    cJSON_Delete(json);
    return 0;
}
