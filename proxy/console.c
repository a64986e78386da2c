#include "proxy/console.h"

#include <string.h>

static const char folder[] = "/console/";

/* Nothing but our own files and our own API, and in nobody's frame: a text that
 * got past everything else would still find no script to run and nowhere to
 * send what it saw. */
static const struct {
    const char *name, *value;
} headers[] = {
    {"content-security-policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
     "'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'"},
    {"referrer-policy", "no-referrer"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
    /* Asked for anew each time, so that a page and its scripts are always of
     * one version; 304 makes that cheap. */
    {"cache-control", "no-cache"},
};
enum { HEADER_COUNT = sizeof headers / sizeof *headers };

bool console_path(struct span path) {
    return span_is(path, "/") || span_starts(path, span_of(folder));
}

static const struct console_file *find(struct span path) {
    struct span name = span_is(path, "/")
                           ? span_of("index.html")
                           : span_slice(path, strlen(folder), path.size);

    for (int i = 0; i < console_file_count; i++)
        if (span_is(name, console_files[i].name)) return &console_files[i];
    return NULL;
}

static const char *type_of(const char *name) {
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
    };
    const char *end = strrchr(name, '.');

    for (size_t i = 0; end && i < sizeof types / sizeof *types; i++)
        if (!strcmp(end, types[i][0])) return types[i][1];
    return "application/octet-stream";
}

/* A list of tags, weak ones as good as strong ones, or `*`. */
static bool has_it(const struct http_request *r, const char *tag) {
    struct span tags = http_request_header(r, "if-none-match");

    return span_is(tags, "*") || span_find(tags, span_of(tag)) != SIZE_MAX;
}

int console_respond(struct conn *c, const struct http_request *r) {
    const struct console_file *file = find(r->path);
    struct http_header list[HEADER_COUNT + 1];
    struct span body;

    if (!file) {
        conn_fail_status(c, 404, "there is no such file");
        return 404;
    }
    for (int i = 0; i < HEADER_COUNT; i++)
        list[i] = (struct http_header){span_of(headers[i].name),
                                       span_of(headers[i].value)};
    list[HEADER_COUNT] =
        (struct http_header){span_of("etag"), span_of(file->tag)};
    if (has_it(r, file->tag)) {
        conn_respond(c, 304, NULL, list, HEADER_COUNT + 1, (struct span){0});
        return 304;
    }
    body = (struct span){(const char *)file->bytes, file->size};
    conn_respond(c, 200, type_of(file->name), list, HEADER_COUNT + 1, body);
    return 200;
}
