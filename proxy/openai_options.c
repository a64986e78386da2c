/* openai_options.c - how the model is to answer: what the OpenAI APIs share of
 * a body beside the conversation. */
#include "proxy/openai.h"

#include <stdio.h>
#include <string.h>

bool openai_bad(struct openai_reader *p, const char *field,
                const char *reason) {
    return err_set_field(p->err, ERR_INPUT, field, "%s: %s", field, reason);
}

bool openai_stop_list(struct openai_reader *p, const cJSON *json,
                      const char *field) {
    const cJSON *item;
    struct chat_request *r = p->out;
    int count = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 1;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsArray(json) && !cJSON_IsString(json))
        return openai_bad(p, field, "expected a string or a list of strings");
    if (count > CHAT_STOPS_MAX)
        return err_set_field(p->err, ERR_LIMIT, field, "%s: more than %d",
                             field, CHAT_STOPS_MAX);
    r->stops = arena_alloc(r->arena, (size_t)count, sizeof *r->stops, p->err);
    if (!r->stops) return false;
    item = cJSON_IsArray(json) ? json->child : json;
    for (; item && r->stop_count < count; item = item->next) {
        size_t size = cJSON_IsString(item) ? strlen(item->valuestring) : 0;

        if (size == 0 || size > CHAT_STOP_BYTES_MAX)
            return openai_bad(p, field, "a stop has 1 to 256 bytes");
        if (!arena_copy(r->arena, span_of(item->valuestring),
                        &r->stops[r->stop_count++], p->err))
            return false;
    }
    return true;
}

bool openai_stops(struct openai_reader *p, const cJSON *body) {
    return openai_stop_list(p, json_field(body, "stop"), "stop");
}

bool openai_format(struct openai_reader *p, const cJSON *json,
                   const cJSON *holder, const char *path) {
    const cJSON *schema = json_field(holder, "schema");
    const char *type = NULL;
    char field[ERR_FIELD_MAX];

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    if (!json_get_string(json, path, "type", &type, p->err)) return false;
    (void)snprintf(field, sizeof field, "%s.type", path);
    if (!type) return openai_bad(p, field, "missing");
    if (!strcmp(type, "text")) return true;
    if (!strcmp(type, "json_object")) {
        p->out->format = FORMAT_JSON_OBJECT;
        return true;
    }
    if (strcmp(type, "json_schema") != 0)
        return openai_bad(p, field,
                          "expected text, json_object or json_schema");
    (void)snprintf(field, sizeof field, "%s%s.schema", path,
                   holder == json ? "" : ".json_schema");
    if (!cJSON_IsObject(schema)) return openai_bad(p, field, "missing");
    p->out->format = FORMAT_JSON_SCHEMA;
    p->out->format_schema = schema;
    return true;
}

bool openai_sampling(struct openai_reader *p, const cJSON *body) {
    struct chat_request *r = p->out;
    double temperature = r->temperature, top_p = r->top_p;
    double presence = 0, frequency = 0, min_p = 0, repeat = 0;
    int64_t top_k = 0, window = r->repeat_window;
    const cJSON *seed = json_field(body, "seed");
    int64_t max_tokens = 0, seed_value = 0;

    if (!json_get_number(body, "", "temperature", 0, 2, &temperature, p->err) ||
        !json_get_number(body, "", "top_p", 0, 1, &top_p, p->err) ||
        !json_get_number(body, "", "presence_penalty", -2, 2, &presence,
                         p->err) ||
        !json_get_number(body, "", "frequency_penalty", -2, 2, &frequency,
                         p->err) ||
        !json_get_int(body, "", "top_k", 0, INT32_MAX, &top_k, p->err) ||
        !json_get_number(body, "", "min_p", 0, 1, &min_p, p->err) ||
        !json_get_number(body, "", "repeat_penalty", 0.1, 10, &repeat,
                         p->err) ||
        !json_get_int(body, "", "repeat_last_n", -1, INT32_MAX, &window,
                      p->err) ||
        !json_get_int(body, "", "max_tokens", 1, CHAT_OUTPUT_TOKENS_MAX,
                      &max_tokens, p->err) ||
        !json_get_int(body, "", "max_completion_tokens", 1,
                      CHAT_OUTPUT_TOKENS_MAX, &max_tokens, p->err) ||
        !json_get_int(body, "", "seed", -(1LL << 53), 1LL << 53, &seed_value,
                      p->err))
        return false;
    r->temperature = (float)temperature;
    r->top_p = (float)top_p;
    r->presence_penalty = (float)presence;
    r->frequency_penalty = (float)frequency;
    r->top_k = (int)top_k;
    r->min_p = (float)min_p;
    r->repeat_penalty = (float)repeat;
    r->repeat_window = (int)window;
    r->max_tokens = (int)max_tokens;
    r->seeded = seed && !cJSON_IsNull(seed);
    r->seed = (uint64_t)seed_value;
    return true;
}

/* A token id, as the key of an object. -1 when it is none. */
static int token_id(const char *key) {
    long id = 0;
    size_t size = strlen(key);

    if (size == 0 || size > 9 || strspn(key, "0123456789") != size) return -1;
    for (size_t i = 0; i < size; i++) id = id * 10 + (key[i] - '0');
    return (int)id;
}

/* {"50256": -100, ...}: whether the model has such tokens, it will say. */
bool openai_logit_bias(struct openai_reader *p, const cJSON *body) {
    const cJSON *json = json_field(body, "logit_bias");
    const cJSON *item;
    struct chat_request *r = p->out;
    int count = cJSON_GetArraySize(json);
    double bias = 0;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json))
        return openai_bad(p, "logit_bias", "expected an object");
    if (count > SAMPLING_BIASES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "logit_bias",
                             "logit_bias: more than %d tokens",
                             SAMPLING_BIASES_MAX);
    r->biases = arena_alloc(r->arena, (size_t)count, sizeof *r->biases, p->err);
    if (!r->biases) return false;
    cJSON_ArrayForEach(item, json) {
        int token = token_id(item->string);

        if (token < 0)
            return openai_bad(p, "logit_bias", "a key must be a token id");
        if (!json_get_number(json, "logit_bias", item->string, -100, 100, &bias,
                             p->err))
            return false;
        if (!cJSON_IsNull(item))
            r->biases[r->bias_count++] =
                (struct token_bias){token, (float)bias};
    }
    return true;
}

bool openai_logprobs(struct openai_reader *p, const cJSON *body) {
    struct chat_request *r = p->out;
    int64_t rivals = 0, n = 1;

    if (!json_get_bool(body, "", "logprobs", &r->logprobs, p->err) ||
        !json_get_int(body, "", "top_logprobs", 0, LOGPROBS_TOP_MAX, &rivals,
                      p->err) ||
        !json_get_int(body, "", "n", 1, CHAT_CHOICES_MAX, &n, p->err))
        return false;
    if (rivals && !r->logprobs)
        return openai_bad(p, "top_logprobs", "needs \"logprobs\": true");
    r->top_logprobs = (int)rivals;
    r->choices = (int)n;
    return true;
}
