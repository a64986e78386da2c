/* ollama_options.c - what a body in Ollama's shape says beside the
 * conversation: how to answer. */
#include "proxy/ollama.h"

#include <string.h>

#include "proxy/openai.h"

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool unsupported(struct err *err, const char *field) {
    return err_set_field(err, ERR_UNSUPPORTED, field, "%s: not supported",
                         field);
}

/* Samplers that are not built in; off, they are as good as absent. */
static bool no_samplers(const cJSON *o, struct err *err) {
    int64_t mirostat = 0;
    double typical_p = 1, tfs_z = 1;

    if (!json_get_int(o, "options", "mirostat", 0, 2, &mirostat, err) ||
        !json_get_number(o, "options", "typical_p", 0, 1, &typical_p, err) ||
        !json_get_number(o, "options", "tfs_z", 0, 1, &tfs_z, err))
        return false;
    if (mirostat) return unsupported(err, "options.mirostat");
    if (typical_p < 1) return unsupported(err, "options.typical_p");
    if (tfs_z < 1) return unsupported(err, "options.tfs_z");
    return true;
}

static bool length(struct chat_request *r, const cJSON *o, struct err *err) {
    int64_t most = 0;

    if (!json_get_int(o, "options", "num_predict", -2, CHAT_OUTPUT_TOKENS_MAX,
                      &most, err))
        return false;
    /* -1: until the model ends, -2: until the context does. */
    r->max_tokens = most < 0 ? CHAT_OUTPUT_TOKENS_MAX : (int)most;
    return true;
}

static bool sampling(struct chat_request *r, const cJSON *o, struct err *err) {
    double temperature = r->temperature, top_p = r->top_p, min_p = 0;
    double presence = 0, frequency = 0, repeat = 0;
    int64_t top_k = 0, window = r->repeat_window, seed = 0;
    const cJSON *given = get(o, "seed");

    if (!json_get_number(o, "options", "temperature", 0, 2, &temperature,
                         err) ||
        !json_get_number(o, "options", "top_p", 0, 1, &top_p, err) ||
        !json_get_number(o, "options", "min_p", 0, 1, &min_p, err) ||
        !json_get_number(o, "options", "presence_penalty", -2, 2, &presence,
                         err) ||
        !json_get_number(o, "options", "frequency_penalty", -2, 2, &frequency,
                         err) ||
        !json_get_number(o, "options", "repeat_penalty", 0.1, 10, &repeat,
                         err) ||
        !json_get_int(o, "options", "top_k", 0, INT32_MAX, &top_k, err) ||
        !json_get_int(o, "options", "repeat_last_n", -1, INT32_MAX, &window,
                      err) ||
        !json_get_int(o, "options", "seed", -(1LL << 53), 1LL << 53, &seed,
                      err))
        return false;
    r->temperature = (float)temperature;
    r->top_p = (float)top_p;
    r->min_p = (float)min_p;
    r->presence_penalty = (float)presence;
    r->frequency_penalty = (float)frequency;
    r->repeat_penalty = (float)repeat;
    r->repeat_window = (int)window;
    r->top_k = (int)top_k;
    r->seeded = given && !cJSON_IsNull(given);
    r->seed = (uint64_t)seed;
    return true;
}

/* "json" or a JSON Schema. */
static bool format(struct chat_request *r, const cJSON *body, struct err *err) {
    const cJSON *json = get(body, "format");

    if (!json || cJSON_IsNull(json)) return true;
    if (cJSON_IsObject(json)) {
        r->format = FORMAT_JSON_SCHEMA;
        r->format_schema = json;
        return true;
    }
    if (!cJSON_IsString(json) ||
        (*json->valuestring && strcmp(json->valuestring, "json") != 0))
        return err_set_field(err, ERR_INPUT, "format",
                             "format: expected \"json\" or a JSON Schema");
    if (*json->valuestring) r->format = FORMAT_JSON_OBJECT;
    return true;
}

/* true, or how much. */
static bool no_thinking(const cJSON *body, struct err *err) {
    const cJSON *json = get(body, "think");

    if (!json || cJSON_IsNull(json) || cJSON_IsFalse(json)) return true;
    return err_set_field(err, ERR_UNSUPPORTED, "think",
                         "think: the model does not think aloud");
}

static bool logprobs(struct chat_request *r, const cJSON *body,
                     struct err *err) {
    int64_t rivals = 0;

    if (!json_get_bool(body, "", "logprobs", &r->logprobs, err) ||
        !json_get_int(body, "", "top_logprobs", 0, LOGPROBS_TOP_MAX, &rivals,
                      err))
        return false;
    r->top_logprobs = r->logprobs ? (int)rivals : 0;
    return true;
}

bool ollama_options(struct chat_request *out, const cJSON *body,
                    struct err *err) {
    const cJSON *options = get(body, "options");
    struct openai_reader p = {out, err};

    if (options && !cJSON_IsNull(options) && !cJSON_IsObject(options))
        return err_set_field(err, ERR_INPUT, "options",
                             "options: expected an object");
    out->stream = true; /* unless it says no */
    return no_samplers(options, err) && length(out, options, err) &&
           sampling(out, options, err) &&
           openai_stop_list(&p, get(options, "stop"), "options.stop") &&
           format(out, body, err) && no_thinking(body, err) &&
           logprobs(out, body, err) &&
           json_get_bool(body, "", "stream", &out->stream, err);
}
