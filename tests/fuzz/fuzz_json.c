/* fuzz_json.c - any bytes: parsed or refused, and what was parsed prints as
 * something that parses to the same text again. What is taken is what cJSON
 * takes the same bytes for. */
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(struct span text) {
    const cJSON *ours = json_read(text, NULL);
    cJSON *theirs = NULL;

    /* Behind a byte order mark cJSON does not see a single digit. */
    if (span_starts(text, span_of("\xEF\xBB\xBF")))
        text = span_slice(text, 3, text.size);
    if (ours) theirs = cJSON_ParseWithLength(text.at, text.size);
    if (ours && !cJSON_Compare(ours, theirs, true)) abort();
    cJSON_Delete(theirs);
    json_free(ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes first = {0}, second = {0}, quoted = {0};
    struct span text = {(const char *)data, size};
    cJSON *json = json_parse(text, NULL), *again = NULL;

    compare(text);
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
