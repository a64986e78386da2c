/* tool_http.c - an HTTP endpoint that the configuration declares as a tool. An
 * argument goes where the URL has a {placeholder}; the others go into the query
 * (GET, DELETE) or, as a JSON object, into the body (POST, PUT, PATCH). Host
 * and headers are the operator's alone: no argument reaches them. */
#include "tools/tool_web.h"

#include <stdlib.h>
#include <string.h>

#include "tools/download.h"
#include "tools/readable.h"
#include "tools/schema.h"
#include "tools/headers.h"

enum {
    HEADERS_MAX = 16,
    PLACEHOLDERS_MAX = 16,
    TIMEOUT_S_DEFAULT = 30,
    SHOWN_BYTES_DEFAULT = 16 << 10,
    /* All of it is judged; beside it are a status and a mark. */
    ANSWER_BYTES_MAX = TOOL_RESULT_BYTES_MAX - 256,
    VALUE_BYTES_MAX = 4096 /* of one argument in the URL */
};

struct endpoint {
    struct tool tool;
    struct fetcher *fetcher;
    char *name;
    char *description;
    char *schema;
    const char *method;
    bool has_body;
    char *url;
    char *placeholders[PLACEHOLDERS_MAX];
    int placeholder_count;
    struct fetch_header headers[HEADERS_MAX + 1]; /* names and values ours */
    int header_count;
    int timeout_s;
};

struct tool_run {
    struct download *download;
    tool_done *done;
    void *user;
};

/* ---- the answer ---- */

static bool accepts(const char *type) {
    return !*type || type_is_html(type) || type_is_text(type);
}

static void on_answer(void *user, const struct download_result *answer,
                      const struct err *err) {
    struct tool_run *r = user;
    struct bytes out = {.limit = TOOL_RESULT_BYTES_MAX};
    bool ok = !err && answer->status >= 200 && answer->status < 300;
    bool cut = false;

    if (err) {
        bytes_puts(&out, err->text);
    } else {
        struct bytes text = {.limit = ANSWER_BYTES_MAX};

        if (!ok) (void)!bytes_printf(&out, NULL, "status %d\n", answer->status);
        if (readable_plain(&text, answer->body, answer->charset, &cut, NULL))
            bytes_put(&out, span_bytes(&text));
        if (cut) bytes_puts(&out, "\n[the rest of the answer was cut off]");
        bytes_free(&text);
    }
    r->done(r->user, ok, span_bytes(&out));
    bytes_free(&out);
    free(r);
}

/* ---- the request ---- */

/* A value as it stands in a URL. */
static bool put_value(struct bytes *out, const cJSON *value, struct err *err) {
    struct bytes text = {.limit = VALUE_BYTES_MAX};
    bool ok;

    if (cJSON_IsString(value))
        ok = bytes_append(&text, value->valuestring, strlen(value->valuestring),
                          err);
    else
        ok = json_print(value, &text, err);
    ok = ok && fetch_escape(out, span_bytes(&text), err);
    bytes_free(&text);
    return ok;
}

/* A segment "." or ".." would leave the place that the operator meant, and an
 * empty one too. */
static bool put_placeholder(struct bytes *out, const cJSON *value,
                            const char *name, struct err *err) {
    const char *text = cJSON_IsString(value) ? value->valuestring : NULL;

    if (!value ||
        (text && (!*text || !strcmp(text, ".") || !strcmp(text, ".."))))
        return err_set(err, ERR_INPUT, "%.64s has no value that can be used",
                       name);
    return put_value(out, value, err);
}

static bool is_placeholder(const struct endpoint *e, const char *name) {
    for (int i = 0; i < e->placeholder_count; i++)
        if (!strcmp(e->placeholders[i], name)) return true;
    return false;
}

static bool put_query(const struct endpoint *e, const cJSON *arguments,
                      struct bytes *url, struct err *err) {
    const cJSON *item;
    char next = strchr(e->url, '?') ? '&' : '?';

    cJSON_ArrayForEach(item, arguments) {
        if (is_placeholder(e, item->string)) continue;
        if (!bytes_append(url, &next, 1, err) ||
            !fetch_escape(url, span_of(item->string), err) ||
            !bytes_append(url, "=", 1, err) || !put_value(url, item, err))
            return false;
        next = '&';
    }
    return true;
}

static bool build_url(const struct endpoint *e, const cJSON *arguments,
                      struct bytes *url, struct err *err) {
    const char *at = e->url;

    for (int i = 0; i < e->placeholder_count; i++) {
        const char *name = e->placeholders[i];
        const char *open = strchr(at, '{');

        if (!bytes_append(url, at, (size_t)(open - at), err) ||
            !put_placeholder(url,
                             cJSON_GetObjectItemCaseSensitive(arguments, name),
                             name, err))
            return false;
        at = open + strlen(name) + 2;
    }
    return bytes_append(url, at, strlen(at), err) &&
           (e->has_body || put_query(e, arguments, url, err)) &&
           bytes_append(url, "", 1, err);
}

static bool build_body(const struct endpoint *e, const cJSON *arguments,
                       struct bytes *body, struct err *err) {
    cJSON *rest;
    bool ok;

    if (!e->has_body) return true;
    rest = cJSON_Duplicate(arguments, true);
    for (int i = 0; i < e->placeholder_count; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(rest, e->placeholders[i]);
    ok = json_print(rest, body, err);
    cJSON_Delete(rest);
    return ok;
}

static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const struct endpoint *e = tool->self;
    struct fetch_options o = {.method = e->method,
                              .headers = e->headers,
                              .header_count = e->header_count,
                              .timeout_ms = e->timeout_s * 1000};
    struct tool_run *r = xalloc(sizeof *r);
    struct bytes url = {.limit = FETCH_URL_MAX};
    struct bytes body = {.limit = 2 * TOOL_ARGUMENT_BYTES_MAX};
    struct err err = {0};

    (void)context;
    *r = (struct tool_run){.done = done, .user = user};
    if (build_url(e, arguments, &url, &err) &&
        build_body(e, arguments, &body, &err)) {
        o.url = url.at;
        o.body = span_bytes(&body);
        /* What is beyond the result's size is cut off, not an error. */
        r->download = download_start(e->fetcher, &o, READABLE_HTML_BYTES_MAX,
                                     accepts, on_answer, r, &err);
    }
    bytes_free(&url);
    bytes_free(&body);
    if (r->download) return r;
    free(r);
    done(user, false, span_of(err.text));
    return NULL;
}

static void cancel(struct tool_run *r) {
    download_cancel(r->download);
    free(r);
}

/* ---- the declaration ---- */

static void close_tool(struct tool *tool) {
    struct endpoint *e = tool->self;

    fetcher_close(e->fetcher);
    free(e->name);
    free(e->description);
    free(e->schema);
    free(e->url);
    for (int i = 0; i < e->placeholder_count; i++) free(e->placeholders[i]);
    headers_clear(e->headers, e->header_count);
    free(e);
}

static bool read_text(const struct tool_options *o, const char *key, char **out,
                      struct err *err) {
    const char *text = NULL;

    if (!option_text(o, key, &text, err)) return false;
    if (!text) return option_fail(o, NULL, err, "%s is missing", key);
    *out = xstrdup(text);
    return true;
}

static bool read_method(struct endpoint *e, const struct tool_options *o,
                        struct err *err) {
    static const char *const methods[] = {"GET", "DELETE", "POST", "PUT",
                                          "PATCH"};
    const char *text = "GET";

    if (!option_text(o, "method", &text, err)) return false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (!strcmp(methods[i], text)) {
            e->method = methods[i];
            e->has_body = i >= 2;
            e->tool.idempotent = i == 0;
            return option_bool(o, "idempotent", &e->tool.idempotent, err);
        }
    return option_fail(o, option_get(o, "method"), err,
                       "method is one of GET, DELETE, POST, PUT, PATCH");
}

static bool read_headers(struct endpoint *e, const struct tool_options *o,
                         struct err *err) {
    if (!headers_by_options(o, e->headers, HEADERS_MAX, &e->header_count, err))
        return false;
    if (e->has_body)
        e->headers[e->header_count++] = (struct fetch_header){
            xstrdup("Content-Type"), xstrdup("application/json")};
    return true;
}

static bool read_schema(struct endpoint *e, const struct tool_options *o,
                        struct err *err) {
    static const char empty[] = "{\"type\":\"object\",\"properties\":{},"
                                "\"additionalProperties\":false}";
    const cJSON *map = option_get(o, "parameters");
    struct bytes text = {.limit = TOOL_ARGUMENT_BYTES_MAX};
    struct err inner = {0};
    bool ok = true;

    if (!map) {
        e->schema = xstrdup(empty);
        return true;
    }
    if (!cJSON_IsObject(map) || !schema_check(map, &inner) ||
        !json_print(map, &text, &inner))
        ok = option_fail(o, map, err, "parameters: %s",
                         inner.code ? inner.text : "a schema is a map");
    else
        e->schema = span_dup(span_bytes(&text));
    bytes_free(&text);
    return ok;
}

static bool is_required(const struct tool_options *o, const char *name) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(
        option_get(o, "parameters"), "required");
    const cJSON *item;

    cJSON_ArrayForEach(item,
                       list) if (cJSON_IsString(item) &&
                                 !strcmp(item->valuestring, name)) return true;
    return false;
}

/* Scheme and host come before the first placeholder. */
static bool host_is_fixed(const char *url) {
    const char *host = strstr(url, "://");
    const char *open = strchr(url, '{');
    const char *path = host ? strchr(host + 3, '/') : NULL;

    return !open || (path && path < open);
}

static bool read_url(struct endpoint *e, const struct tool_options *o,
                     struct err *err) {
    const cJSON *node = option_get(o, "url");

    if (!read_text(o, "url", &e->url, err)) return false;
    if (strncmp(e->url, "http://", 7) && strncmp(e->url, "https://", 8))
        return option_fail(o, node, err, "this is not an http or https URL");
    if (!host_is_fixed(e->url))
        return option_fail(o, node, err,
                           "a placeholder cannot be a part of the host");
    for (const char *at = e->url; (at = strchr(at, '{'));) {
        size_t size = strcspn(++at, "{}");
        char *name = span_dup((struct span){at, size});

        if (e->placeholder_count == PLACEHOLDERS_MAX || at[size] != '}') {
            free(name);
            return option_fail(o, node, err,
                               "at most %d placeholders, each in braces",
                               PLACEHOLDERS_MAX);
        }
        e->placeholders[e->placeholder_count++] = name;
        if (!is_required(o, name))
            return option_fail(o, node, err,
                               "{%.64s} is not a required parameter", name);
        at += size;
    }
    return true;
}

struct tool *tool_http_open(const struct tool_options *o, struct err *err) {
    static const char *const keys[] = {
        "name",       "description", "method",    "url",
        "headers",    "parameters",  "timeout_s", "result_bytes_max",
        "idempotent", "ca_file",     NULL};
    struct endpoint *e = xalloc(sizeof *e);
    int shown = SHOWN_BYTES_DEFAULT;

    e->timeout_s = TIMEOUT_S_DEFAULT;
    e->tool = (struct tool){
        .self = e, .run = run, .cancel = cancel, .close = close_tool};
    if (option_only(o, keys, err) && read_text(o, "name", &e->name, err) &&
        read_text(o, "description", &e->description, err) &&
        read_method(e, o, err) && read_schema(e, o, err) &&
        read_url(e, o, err) && read_headers(e, o, err) &&
        option_int(o, "timeout_s", 1, 600, &e->timeout_s, err) &&
        option_int(o, "result_bytes_max", 64, TOOL_SHOWN_BYTES_MAX, &shown,
                   err))
        e->fetcher = fetcher_by_options(o, true, err);
    if (!e->fetcher) {
        close_tool(&e->tool);
        return NULL;
    }
    e->tool.name = e->name;
    e->tool.description = e->description;
    e->tool.schema = e->schema;
    e->tool.shown_bytes_max = (size_t)shown;
    return &e->tool;
}
