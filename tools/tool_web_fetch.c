/* tool_web_fetch.c - the text of a web page. The page comes over the loop and
 * is turned into text on libuv's pool, since that can take a while:
 *
 *   LOADING -> READING -> done      (cancelled while READING: freed after it)
 *
 * A redirect to another host is told, not followed, unless the configuration
 * says so: a rule of the policy about url.host would else see only the first
 * address. */
#include "tools/tool_web.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "tools/download.h"
#include "tools/readable.h"

enum {
    TIMEOUT_S_DEFAULT = 20,
    PAGE_BYTES_DEFAULT = 2 << 20,
    SHOWN_BYTES_DEFAULT = 16 << 10,
    /* All of it is judged; beside it are the address and a mark. */
    TEXT_BYTES_MAX = TOOL_RESULT_BYTES_MAX - FETCH_URL_MAX - 256,
    REDIRECTS = 5
};

struct web_fetch {
    struct tool tool; /* first, so close() can cast back */
    struct fetcher *fetcher;
    uv_loop_t *loop;
    int timeout_s;
    int page_bytes_max;
    bool other_host;
};

struct tool_run {
    uv_work_t work; /* first, so the callbacks can cast back */
    const struct web_fetch *owner;
    struct download *download; /* NULL: READING */
    tool_done *done;           /* NULL: cancelled */
    void *user;
    struct bytes page;
    char *url;
    char *charset;
    bool html;
    struct bytes text;
    bool read_ok, cut;
    struct err err;
};

static void run_free(struct tool_run *r) {
    bytes_free(&r->page);
    bytes_free(&r->text);
    free(r->url);
    free(r->charset);
    free(r);
}

static void end(struct tool_run *r, bool ok, struct span text) {
    if (r->done) r->done(r->user, ok, text);
    run_free(r);
}

/* ---- READING ---- */

/* On the pool: only the run's own fields. */
static void on_work(uv_work_t *work) {
    struct tool_run *r = (struct tool_run *)work;
    struct span page = span_bytes(&r->page);

    r->read_ok =
        r->html ? readable_html(&r->text, page, r->url, r->charset, &r->cut,
                                &r->err)
                : readable_plain(&r->text, page, r->charset, &r->cut, &r->err);
}

static void on_worked(uv_work_t *work, int status) {
    static const char cut[] = "\n[the rest of the page was cut off]";
    struct tool_run *r = (struct tool_run *)work;
    struct bytes out = {0};

    if (status || !r->read_ok) {
        end(r, false, span_of(status ? "not read" : r->err.text));
        return;
    }
    bytes_puts(&out, r->url);
    bytes_puts(&out, "\n\n");
    bytes_put(&out, span_bytes(&r->text));
    if (!r->text.size) bytes_puts(&out, "[the page has no text]");
    if (r->cut) bytes_puts(&out, cut);
    end(r, true, span_bytes(&out));
    bytes_free(&out);
}

/* ---- LOADING ---- */

static bool accepts(const char *type) {
    return !*type || type_is_html(type) || type_is_text(type);
}

static void told(struct tool_run *r, bool ok, const char *before,
                 const char *what, const char *after) {
    struct bytes out = {0};

    bytes_puts(&out, before);
    bytes_puts(&out, what);
    bytes_puts(&out, after);
    end(r, ok, span_bytes(&out));
    bytes_free(&out);
}

static void on_page(void *user, const struct download_result *page,
                    const struct err *err) {
    struct tool_run *r = user;
    char status[16];

    r->download = NULL;
    if (err) {
        end(r, false, span_of(err->text));
    } else if (page->redirect) {
        told(r, true, "The page has moved, and was not read. Its new address: ",
             page->redirect, "");
    } else if (page->status != 200) {
        (void)snprintf(status, sizeof status, "%d", page->status);
        told(r, false, "the server answered with status ", status, "");
    } else {
        r->url = xstrdup(page->url);
        r->charset = page->charset ? xstrdup(page->charset) : NULL;
        r->html = !*page->type || type_is_html(page->type);
        bytes_put(&r->page, page->body);
        (void)uv_queue_work(r->owner->loop, &r->work, on_work, on_worked);
    }
}

static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const struct web_fetch *w = tool->self;
    const struct fetch_options o = {
        .url = cJSON_GetObjectItemCaseSensitive(arguments, "url")->valuestring,
        .timeout_ms = w->timeout_s * 1000,
        .redirects = REDIRECTS,
        .other_host = w->other_host,
    };
    struct tool_run *r = xalloc(sizeof *r);
    struct err err = {0};

    (void)context;
    r->owner = w;
    r->done = done;
    r->user = user;
    r->page.limit = (size_t)w->page_bytes_max;
    r->text.limit = TEXT_BYTES_MAX;
    r->download = download_start(w->fetcher, &o, (size_t)w->page_bytes_max,
                                 accepts, on_page, r, &err);
    if (r->download) return r;
    end(r, false, span_of(err.text));
    return NULL;
}

static void cancel(struct tool_run *r) {
    r->done = NULL;
    if (!r->download) return; /* on_worked() frees it */
    download_cancel(r->download);
    run_free(r);
}

/* ---- the tool ---- */

static void close_tool(struct tool *tool) {
    struct web_fetch *w = tool->self;

    fetcher_close(w->fetcher);
    free(w);
}

struct tool *web_fetch_open(const struct tool_options *o, struct err *err) {
    static const char *const keys[] = {
        "timeout_s",  "page_bytes_max", "text_bytes_max",
        "other_host", "inner_hosts",    "ca_file",
        NULL};
    struct web_fetch *w = xalloc(sizeof *w);
    int shown = SHOWN_BYTES_DEFAULT;

    *w = (struct web_fetch){
        .tool = {.name = "web_fetch",
                 .description =
                     "Read a web page: its text, with the addresses of "
                     "its links.",
                 .schema =
                     "{\"type\":\"object\",\"properties\":{\"url\":{\"type\":"
                     "\"string\",\"description\":\"the page's address, "
                     "http or https\",\"maxLength\":8000}},\"required\":"
                     "[\"url\"],\"additionalProperties\":false}",
                 .idempotent = true,
                 .self = w,
                 .run = run,
                 .cancel = cancel,
                 .close = close_tool},
        .loop = o->loop,
        .timeout_s = TIMEOUT_S_DEFAULT,
        .page_bytes_max = PAGE_BYTES_DEFAULT,
    };
    readable_init();
    if (option_only(o, keys, err) &&
        option_int(o, "timeout_s", 1, 300, &w->timeout_s, err) &&
        option_int(o, "page_bytes_max", 1024, READABLE_HTML_BYTES_MAX,
                   &w->page_bytes_max, err) &&
        option_int(o, "text_bytes_max", 256, TOOL_SHOWN_BYTES_MAX, &shown,
                   err) &&
        option_bool(o, "other_host", &w->other_host, err))
        w->fetcher = fetcher_by_options(o, false, err);
    w->tool.shown_bytes_max = (size_t)shown;
    if (w->fetcher) return &w->tool;
    free(w);
    return NULL;
}
