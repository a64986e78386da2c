/* tool_web_search.c - a query to the operator's search service (a SearXNG, or
 * Brave's API), as titles, addresses and snippets. */
#include "tools/tool_web.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "tools/download.h"
#include "tools/readable.h"

enum {
    TIMEOUT_S_DEFAULT = 15,
    RESULTS_DEFAULT = 5,
    ANSWER_BYTES_MAX = 1 << 20,
    FIELD_BYTES_MAX = 600 /* of a title or a snippet */
};

/* Where in a service's answer things are. */
struct service {
    const char *path[2]; /* to the list; the second may be NULL */
    const char *snippet;
};

static const struct service searxng = {{"results", NULL}, "content"};
static const struct service brave = {{"web", "results"}, "description"};

struct web_search {
    struct tool tool;
    struct fetcher *fetcher;
    const struct service *service;
    char *url; /* up to and with "q=" */
    char *key; /* NULL: none */
    int timeout_s;
    int results;
};

struct tool_run {
    const struct web_search *owner;
    struct download *download;
    tool_done *done;
    void *user;
};

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* ---- the answer ---- */

/* Services send snippets with markup in them. */
static void put_plain(struct bytes *out, const cJSON *field) {
    struct bytes text = {.limit = FIELD_BYTES_MAX};
    struct span html;
    bool cut;

    if (!cJSON_IsString(field)) return;
    html = span_slice(span_of(field->valuestring), 0, 8L * FIELD_BYTES_MAX);
    html.size = utf8_complete(html);
    if (readable_html(&text, html, NULL, NULL, &cut, NULL))
        for (size_t i = 0; i < text.size; i++)
            if (text.at[i] == '\n') text.at[i] = ' ';
    bytes_put(out, span_bytes(&text));
    bytes_free(&text);
}

static void put_result(struct bytes *out, const struct service *service,
                       const cJSON *item, int number) {
    const cJSON *url = get(item, "url");
    char head[16];

    if (!cJSON_IsString(url) || strlen(url->valuestring) > FETCH_URL_MAX ||
        strpbrk(url->valuestring, " \r\n\t"))
        return;
    (void)snprintf(head, sizeof head, "%s%d. ", number > 1 ? "\n" : "", number);
    bytes_puts(out, head);
    put_plain(out, get(item, "title"));
    bytes_puts(out, "\n   ");
    bytes_puts(out, url->valuestring);
    bytes_puts(out, "\n   ");
    put_plain(out, get(item, service->snippet));
}

static bool put_results(const struct web_search *w, const cJSON *root,
                        struct bytes *out) {
    const cJSON *list = root;
    const cJSON *item;
    int number = 0;

    for (int i = 0; i < 2 && w->service->path[i]; i++)
        list = get(list, w->service->path[i]);
    /* Brave leaves the whole part out when nothing was found. */
    if (!cJSON_IsObject(root) || (list && !cJSON_IsArray(list))) return false;
    cJSON_ArrayForEach(item, list) {
        if (number == w->results) break;
        put_result(out, w->service, item, ++number);
    }
    if (!out->size) bytes_puts(out, "Nothing was found.");
    return true;
}

static void on_answer(void *user, const struct download_result *answer,
                      const struct err *err) {
    struct tool_run *r = user;
    struct bytes out = {0};
    cJSON *root = NULL;
    bool ok = false;

    if (err) {
        bytes_puts(&out, err->text);
    } else if (answer->status != 200) {
        bytes_puts(&out, "the search service answered with status ");
        (void)!bytes_printf(&out, NULL, "%d", answer->status);
    } else {
        root = json_parse(answer->body, NULL);
        ok = root && put_results(r->owner, root, &out);
        if (!ok) bytes_puts(&out, "the search service's answer is no result");
    }
    r->done(r->user, ok, span_bytes(&out));
    cJSON_Delete(root);
    bytes_free(&out);
    free(r);
}

/* ---- the query ---- */

static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const struct web_search *w = tool->self;
    const struct fetch_header headers[] = {
        {"Accept", "application/json"},
        {"X-Subscription-Token", w->key ? w->key : ""}};
    struct fetch_options o = {.headers = headers,
                              .header_count = w->key ? 2 : 1,
                              .timeout_ms = w->timeout_s * 1000};
    struct tool_run *r = xalloc(sizeof *r);
    struct bytes url = {.limit = FETCH_URL_MAX};
    struct err err = {0};

    (void)context;
    *r = (struct tool_run){.owner = w, .done = done, .user = user};
    if (bytes_append(&url, w->url, strlen(w->url), &err) &&
        fetch_escape(&url, span_of(get(arguments, "query")->valuestring),
                     &err) &&
        bytes_append(&url, "", 1, &err)) {
        o.url = url.at;
        r->download = download_start(w->fetcher, &o, ANSWER_BYTES_MAX, NULL,
                                     on_answer, r, &err);
    }
    bytes_free(&url);
    if (r->download) return r;
    free(r);
    done(user, false, span_of(err.text));
    return NULL;
}

static void cancel(struct tool_run *r) {
    download_cancel(r->download);
    free(r);
}

/* ---- the tool ---- */

static void close_tool(struct tool *tool) {
    struct web_search *w = tool->self;

    fetcher_close(w->fetcher);
    free(w->url);
    free(w->key);
    free(w);
}

static bool read_key(struct web_search *w, const struct tool_options *o,
                     const char *name, struct err *err) {
    const char *key = getenv(name);

    if (!key || !*key)
        return option_fail(o, option_get(o, "brave_key_env"), err,
                           "the variable %.64s is not set", name);
    w->key = xstrdup(key);
    return true;
}

static void set_url(struct web_search *w, const char *base, const char *rest) {
    size_t size = strlen(base);
    struct bytes url = {0};

    while (size && base[size - 1] == '/') size--;
    bytes_put(&url, (struct span){base, size});
    bytes_puts(&url, rest);
    w->url = span_dup(span_bytes(&url));
    bytes_free(&url);
}

static bool choose(struct web_search *w, const struct tool_options *o,
                   struct err *err) {
    const char *base = NULL, *key = NULL;
    const char *brave_url = "https://api.search.brave.com/res/v1";

    if (!option_text(o, "searxng", &base, err) ||
        !option_text(o, "brave_key_env", &key, err) ||
        !option_text(o, "brave_url", &brave_url, err))
        return false;
    if (!base == !key)
        return option_fail(o, NULL, err,
                           "needs one of searxng (a URL) and brave_key_env");
    w->service = base ? &searxng : &brave;
    if (base)
        set_url(w, base, "/search?format=json&q=");
    else
        set_url(w, brave_url, "/web/search?q=");
    return !key || read_key(w, o, key, err);
}

struct tool *web_search_open(const struct tool_options *o, struct err *err) {
    static const char *const keys[] = {"searxng", "brave_key_env", "brave_url",
                                       "results", "timeout_s",     "ca_file",
                                       NULL};
    struct web_search *w = xalloc(sizeof *w);

    *w = (struct web_search){
        .tool = {.name = "web_search",
                 .description =
                     "Search the web: titles, addresses and snippets.",
                 .schema =
                     "{\"type\":\"object\",\"properties\":{\"query\":"
                     "{\"type\":\"string\",\"description\":\"what to search "
                     "for\",\"minLength\":1,\"maxLength\":400}},"
                     "\"required\":[\"query\"],"
                     "\"additionalProperties\":false}",
                 .idempotent = true,
                 .self = w,
                 .run = run,
                 .cancel = cancel,
                 .close = close_tool},
        .timeout_s = TIMEOUT_S_DEFAULT,
        .results = RESULTS_DEFAULT,
    };
    readable_init();
    if (option_only(o, keys, err) && choose(w, o, err) &&
        option_int(o, "results", 1, 20, &w->results, err) &&
        option_int(o, "timeout_s", 1, 300, &w->timeout_s, err))
        w->fetcher = fetcher_by_options(o, true, err);
    if (w->fetcher) return &w->tool;
    close_tool(&w->tool);
    return NULL;
}
