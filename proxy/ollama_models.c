#include "proxy/ollama_models.h"

#include <time.h>

static bool put_details(const struct llm_facts *f, struct bytes *out,
                        struct err *err) {
    if (!f)
        return bytes_printf(out, err,
                            "\"details\":{\"format\":\"\",\"family\":\"\","
                            "\"families\":[],\"parameter_size\":\"\","
                            "\"quantization_level\":\"\"}");
    return bytes_printf(out, err,
                        "\"details\":{\"format\":\"gguf\",\"family\":\"llama\","
                        "\"families\":[\"llama\"],\"parameter_size\":\"%.2fM\","
                        "\"quantization_level\":\"%s\"}",
                        (double)f->parameters / 1e6, f->quantization);
}

static bool put_modified(int64_t since, struct bytes *out, struct err *err) {
    time_t at = (time_t)since;
    char stamp[32] = "1970-01-01T00:00:00Z";
    struct tm tm;

    if (gmtime_r(&at, &tm))
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return bytes_printf(out, err, "\"modified_at\":\"%s\",", stamp);
}

static const struct llm_facts *facts_of(const struct router *r,
                                        struct span name) {
    const struct llm *llm = router_find(r, name);

    return llm ? llm->facts : NULL;
}

static bool put_listed(const struct router *r, struct span name, int64_t since,
                       struct bytes *out, struct err *err) {
    const struct llm_facts *f = facts_of(r, name);

    return bytes_printf(out, err, "{\"name\":") &&
           json_put_string(out, name, err) &&
           bytes_printf(out, err, ",\"model\":") &&
           json_put_string(out, name, err) && bytes_printf(out, err, ",") &&
           put_modified(since, out, err) &&
           bytes_printf(out, err, "\"size\":%lld,\"digest\":\"\",",
                        f ? (long long)f->file_bytes : 0LL) &&
           put_details(f, out, err) && bytes_printf(out, err, "}");
}

bool ollama_put_models(const struct router *r, int64_t since, struct bytes *out,
                       struct err *err) {
    if (!bytes_printf(out, err, "{\"models\":[")) return false;
    for (int i = 0; i < router_count(r); i++)
        if (!bytes_printf(out, err, i ? "," : "") ||
            !put_listed(r, span_of(router_name(r, i)), since, out, err))
            return false;
    return bytes_printf(out, err, "]}");
}

bool ollama_put_version(struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "{\"version\":\"%s\"}", CORRAL_VERSION);
}

/* ---- /api/show ---- */

static bool is_listed(const struct router *r, struct span name) {
    for (int i = 0; i < router_count(r); i++)
        if (span_is(name, router_name(r, i))) return true;
    return false;
}

/* Without the tag that Ollama's clients may add. */
static bool find(const struct router *r, struct span *name) {
    struct span latest = span_of(":latest");

    if (is_listed(r, *name)) return true;
    if (name->size <= latest.size ||
        !span_equal(span_slice(*name, name->size - latest.size, name->size),
                    latest))
        return false;
    name->size -= latest.size;
    return is_listed(r, *name);
}

static bool put_info(const struct llm_facts *f, struct bytes *out,
                     struct err *err) {
    if (!f) return bytes_printf(out, err, ",\"model_info\":{}");
    return bytes_printf(out, err,
                        ",\"model_info\":{\"general.architecture\":\"llama\","
                        "\"general.parameter_count\":%lld,"
                        "\"llama.context_length\":%d}",
                        (long long)f->parameters, f->context_tokens);
}

static bool put_shown(const struct llm_facts *f, int64_t since,
                      struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "{") && put_modified(since, out, err) &&
           put_details(f, out, err) && put_info(f, out, err) &&
           bytes_printf(out, err,
                        ",\"capabilities\":[\"completion\",\"tools\"]}");
}

/* `name` is what the field was called before. */
static bool asked_name(const cJSON *body, struct span *out, struct err *err) {
    const char *name = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "name", &name, err) ||
        !json_get_string(body, "", "model", &name, err))
        return false;
    if (!name) return err_set_field(err, ERR_INPUT, "model", "model: missing");
    *out = span_of(name);
    return true;
}

bool ollama_show(const struct router *r, int64_t since, struct span body,
                 struct bytes *out, struct err *err) {
    cJSON *json = json_parse(body, err);
    struct span name;
    bool ok = json && asked_name(json, &name, err);

    if (ok && !find(r, &name))
        ok = err_set_field(err, ERR_NOT_FOUND, "model",
                           "model: there is no such model");
    if (ok) ok = put_shown(facts_of(r, name), since, out, err);
    cJSON_Delete(json);
    return ok;
}
