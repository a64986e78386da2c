#include "proxy/vectors.h"

#include <math.h>
#include <stdlib.h>

static bool put_texts(const struct llm_vectors_request *r, struct bytes *out,
                      struct err *err) {
    for (int i = 0; i < r->count; i++)
        if (!bytes_printf(out, err, i ? "," : "") ||
            !json_put_string(out, r->texts[i], err))
            return false;
    return true;
}

bool vectors_body(const struct llm_vectors_request *r, const char *model,
                  struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "{\"model\":") &&
           json_put_string(out, model ? span_of(model) : r->model, err) &&
           bytes_printf(out, err, ",\"encoding_format\":\"float\"") &&
           (!r->dimensions ||
            bytes_printf(out, err, ",\"dimensions\":%d", r->dimensions)) &&
           bytes_printf(out, err, ",\"input\":[") && put_texts(r, out, err) &&
           bytes_printf(out, err, "]}");
}

static bool bad(struct err *err, const char *reason) {
    return err_set(err, ERR_IO, "upstream: embeddings: %s", reason);
}

static bool read_numbers(const cJSON *list, float *out, struct err *err) {
    const cJSON *item;

    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsNumber(item) || !isfinite((float)item->valuedouble))
            return bad(err, "a vector holds something else than numbers");
        *out++ = (float)item->valuedouble;
    }
    return true;
}

static const cJSON *numbers_of(const cJSON *json) {
    return cJSON_GetObjectItemCaseSensitive(json, "embedding");
}

static int size_of(const cJSON *json) {
    const cJSON *list = numbers_of(json);

    return cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
}

static bool read_vector(const cJSON *json, int count, int size, bool *seen,
                        float *out, struct err *err) {
    int64_t index = -1;

    if (!json_get_int(json, "data", "index", 0, count - 1, &index, err) ||
        index < 0 || seen[index]) {
        err->code = ERR_IO;
        return bad(err, "an index is missing, or there twice");
    }
    seen[index] = true;
    return read_numbers(numbers_of(json), out + (size_t)index * (size_t)size,
                        err);
}

bool vectors_read(const cJSON *answer, int count, float **out, int *size,
                  int *prompt_tokens, struct err *err) {
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(answer, "data");
    const cJSON *usage = cJSON_GetObjectItemCaseSensitive(answer, "usage");
    const cJSON *json;
    int64_t tokens = 0;
    bool *seen, ok = true;

    *out = NULL;
    if (!cJSON_IsArray(data) || cJSON_GetArraySize(data) != count)
        return bad(err, "not one for each text");
    *size = size_of(data->child);
    if (*size < 1 || *size > VECTORS_SIZE_MAX)
        return bad(err, "a vector of no size");
    /* Before the memory is asked for: then it is no more than came. */
    cJSON_ArrayForEach(json, data) {
        if (size_of(json) != *size) return bad(err, "vectors differ in size");
    }
    *out = xalloc_array((size_t)count * (size_t)*size, sizeof **out);
    seen = xalloc_array((size_t)count, sizeof *seen);
    cJSON_ArrayForEach(json, data) {
        ok = ok && read_vector(json, count, *size, seen, *out, err);
    }
    free(seen);
    if (!ok) {
        free(*out);
        *out = NULL;
    }
    /* A figure for people: nonsense in it is none. */
    if (json_get_int(usage, "", "prompt_tokens", 0, INT32_MAX, &tokens, NULL))
        *prompt_tokens = (int)tokens;
    return ok;
}
