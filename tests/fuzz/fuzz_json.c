/* fuzz_json.c - any bytes: parsed or refused, and what was parsed prints as
 * something that parses to the same text again. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes first = {0}, second = {0}, quoted = {0};
    struct span text = {(const char *)data, size};
    cJSON *json = json_parse(text, NULL), *again = NULL;

    if (json) {
        if (!json_print(json, &first, NULL)) abort();
        again = json_parse(span_bytes(&first), NULL);
        if (!again || !json_print(again, &second, NULL)) abort();
        if (!span_equal(span_bytes(&first), span_bytes(&second))) abort();
    }
    cJSON_Delete(again);
    cJSON_Delete(json);
    /* Our own writer makes valid JSON of any bytes, except that NULs, which
     * the reader refuses, stay NULs. */
    if (!json_put_string(&quoted, text, NULL)) abort();
    json = json_parse(span_bytes(&quoted), NULL);
    if (!json && span_find(text, (struct span){"", 1}) == SIZE_MAX) abort();
    cJSON_Delete(json);
    bytes_free(&first);
    bytes_free(&second);
    bytes_free(&quoted);
    return 0;
}
