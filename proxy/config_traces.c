#include "proxy/config_traces.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/config.h"

enum { HEADER_NAME_MAX = 64 };

void config_traces_init(struct config_traces *t) {
    *t = (struct config_traces){.sample = 1, .queue = TRACER_QUEUE};
}

void config_traces_clear(struct config_traces *t) {
    for (int i = 0; i < t->header_count; i++) {
        free(t->headers[i].name);
        free(t->headers[i].value);
    }
    free(t->ca_file);
    *t = (struct config_traces){0};
}

/* Letters, digits and hyphens: all that headers of collectors have. */
static bool is_name(const char *s) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

    return *s && strlen(s) <= HEADER_NAME_MAX && s[strspn(s, letters)] == '\0';
}

static bool is_ours(const char *name) {
    static const char *const ours[] = {"host",           "connection",
                                       "content-length", "content-type",
                                       "expect",         "transfer-encoding"};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcasecmp(name, ours[i])) return true;
    return false;
}

/* Nothing that could end the line. */
static bool is_value(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) return false;
    return true;
}

/* What a header holds is not repeated in an error: it may be a key. */
static bool read_headers(const struct config_source *s, const cJSON *map,
                         struct config_traces *t) {
    const cJSON *headers = config_get(map, "headers"), *node;

    if (config_unset(headers)) return true;
    if (!cJSON_IsObject(headers))
        return yaml_fail(s->yaml, headers, s->err, "headers must be a map");
    cJSON_ArrayForEach(node, headers) {
        if (t->header_count == TRACER_HEADERS_MAX)
            return yaml_fail(s->yaml, node, s->err, "more than %d headers",
                             TRACER_HEADERS_MAX);
        if (!is_name(node->string) || is_ours(node->string))
            return yaml_fail(s->yaml, node, s->err,
                             "headers: \"%.64s\" cannot be set", node->string);
        if (!config_check_text(s, node, node->string)) return false;
        if (!is_value(node->valuestring))
            return yaml_fail(s->yaml, node, s->err,
                             "headers: a control character in \"%.64s\"",
                             node->string);
        t->headers[t->header_count].name = xstrdup(node->string);
        t->headers[t->header_count++].value = xstrdup(node->valuestring);
    }
    return true;
}

static bool read_sample(const struct config_source *s, const cJSON *map,
                        double *out) {
    const cJSON *node = config_get(map, "sample");

    if (config_unset(node)) return true;
    if (!cJSON_IsNumber(node) ||
        !(node->valuedouble >= 0 && node->valuedouble <= 1))
        return yaml_fail(s->yaml, node, s->err,
                         "sample must be a number from 0 to 1");
    *out = node->valuedouble;
    return true;
}

bool config_read_traces(const struct config_source *s, const cJSON *root,
                        struct config_traces *out) {
    static const char *const keys[] = {"endpoint", "headers", "sample",
                                       "queue",    "ca_file", NULL};
    const cJSON *map, *endpoint;
    struct err why;

    if (!config_read_map(s, root, "traces", keys, &map)) return false;
    if (!map) return true;
    endpoint = config_get(map, "endpoint");
    if (config_unset(endpoint))
        return yaml_fail(s->yaml, map, s->err, "traces needs an endpoint");
    if (!config_check_text(s, endpoint, "endpoint")) return false;
    if (!http_url_parse(span_of(endpoint->valuestring), &out->url, &why))
        return yaml_fail(s->yaml, endpoint, s->err, "endpoint: %s", why.text);
    out->on = true;
    return read_headers(s, map, out) && read_sample(s, map, &out->sample) &&
           config_read_small(s, map, "queue", 1, TRACER_QUEUE_MAX,
                             &out->queue) &&
           config_read_path(s, map, "ca_file", &out->ca_file);
}

struct tracer_options config_tracer(const struct config_traces *t,
                                    struct http_header *headers) {
    for (int i = 0; i < t->header_count; i++)
        headers[i] = (struct http_header){span_of(t->headers[i].name),
                                          span_of(t->headers[i].value)};
    return (struct tracer_options){.url = t->url,
                                   .headers = headers,
                                   .header_count = t->header_count,
                                   .ca_file = t->ca_file,
                                   .sample = t->sample,
                                   .queue = t->queue};
}
