#include "tools/download.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TYPE_MAX = 96 };

struct download {
    struct fetch *fetch;
    struct bytes body;
    char type[TYPE_MAX];
    char charset[TYPE_MAX];
    bool (*accepts)(const char *type);
    download_done *done;
    void *user;
};

/* ---- types ---- */

/* What of `at` is before one of `ends`, in lower case; cut to fit. */
static void copy_token(const char *at, const char *ends, char out[TYPE_MAX]) {
    size_t n = strcspn(at, ends);

    if (n >= TYPE_MAX) n = TYPE_MAX - 1;
    for (size_t i = 0; i < n; i++) out[i] = ascii_lower(at[i]);
    out[n] = '\0';
}

static void read_type(struct download *d, const char *header) {
    static const char name[] = "charset=";
    const char *at = header;

    copy_token(header, "; \t", d->type);
    while ((at = strchr(at, ';'))) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, sizeof name - 1)) continue;
        at += sizeof name - 1;
        copy_token(*at == '"' ? at + 1 : at, "\"; \t", d->charset);
    }
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);

    return a >= b && !strcmp(text + a - b, end);
}

bool type_is_html(const char *type) {
    return !strcmp(type, "text/html") || !strcmp(type, "application/xhtml+xml");
}

bool type_is_text(const char *type) {
    static const char *const kin[] = {
        "application/json", "application/xml", "application/yaml",
        "application/javascript", "application/x-ndjson"};

    for (size_t i = 0; i < sizeof kin / sizeof *kin; i++)
        if (!strcmp(type, kin[i])) return true;
    return !strncmp(type, "text/", 5) || ends_with(type, "+json") ||
           ends_with(type, "+xml");
}

/* ---- the download ---- */

static void download_free(struct download *d) {
    bytes_free(&d->body);
    free(d);
}

static bool on_head(void *user, const struct fetch *fetch, struct err *err) {
    struct download *d = user;
    const char *type = fetch_response_header(fetch, "content-type");

    if (type) read_type(d, type);
    if (!d->accepts || fetch_status(fetch) != 200 || d->accepts(d->type))
        return true;
    return err_set(err, ERR_UNSUPPORTED,
                   "the answer is of type %s, which cannot be read as text",
                   *d->type ? d->type : "unknown");
}

static bool on_body(void *user, struct span part, struct err *err) {
    struct download *d = user;

    if (bytes_append(&d->body, part.at, part.size, NULL)) return true;
    return err_set(err, ERR_LIMIT, "the answer is larger than %zu bytes",
                   d->body.limit);
}

static void on_end(void *user, const struct fetch *fetch,
                   const struct err *err) {
    struct download *d = user;
    const struct download_result result = {
        .status = fetch_status(fetch),
        .url = fetch_url(fetch),
        .redirect = fetch_redirect(fetch),
        .type = d->type,
        .charset = *d->charset ? d->charset : NULL,
        .body = span_bytes(&d->body),
    };

    d->done(d->user, err ? NULL : &result, err);
    download_free(d);
}

struct download *download_start(struct fetcher *fetcher,
                                const struct fetch_options *o, size_t bytes_max,
                                bool (*accepts)(const char *type),
                                download_done *done, void *user,
                                struct err *err) {
    struct download *d = xalloc(sizeof *d);
    const struct fetch_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .user = d};

    d->body.limit = bytes_max;
    d->accepts = accepts;
    d->done = done;
    d->user = user;
    d->fetch = fetch_start(fetcher, o, &events, err);
    if (d->fetch) return d;
    download_free(d);
    return NULL;
}

void download_cancel(struct download *d) {
    if (!d) return;
    fetch_cancel(d->fetch);
    download_free(d);
}

/* ---- options ---- */

static bool read_hosts(const struct tool_options *o, const char **out,
                       int *count, struct err *err) {
    const cJSON *list = option_get(o, "inner_hosts");
    const cJSON *item;

    if (list && !cJSON_IsArray(list))
        return option_fail(o, list, err, "inner_hosts must be a list");
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsString(item) || !*item->valuestring)
            return option_fail(o, item, err, "a host is a text");
        if (*count == FETCH_HOSTS_MAX)
            return option_fail(o, item, err, "more than %d hosts",
                               FETCH_HOSTS_MAX);
        out[(*count)++] = item->valuestring;
    }
    return true;
}

struct fetcher *fetcher_by_options(const struct tool_options *o,
                                   bool any_address, struct err *err) {
    const char *hosts[FETCH_HOSTS_MAX];
    struct fetcher_options options = {.any_address = any_address,
                                      .inner_hosts = hosts};
    struct fetcher *fetcher = NULL;
    struct err inner = {0};
    char *ca_file = NULL;

    if (!option_path(o, "ca_file", &ca_file, err)) return NULL;
    if (any_address || read_hosts(o, hosts, &options.inner_host_count, err)) {
        options.ca_file = ca_file;
        fetcher = fetcher_open(o->loop, &options, &inner);
        if (!fetcher) (void)option_fail(o, NULL, err, "%s", inner.text);
    }
    free(ca_file);
    return fetcher;
}
