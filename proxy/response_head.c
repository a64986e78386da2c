#include "proxy/response_head.h"

#include <string.h>
#include <time.h>

static bool origin_allowed(const struct response_head *h, struct span origin) {
    for (int i = 0; i < h->origin_count; i++)
        if (span_is(origin, h->origins[i]) || !strcmp(h->origins[i], "*"))
            return true;
    return false;
}

static void put_text(struct bytes *out, const char *name, const char *value) {
    http_put_header(out, span_of(name), span_of(value));
}

static void put_cors(const struct response_head *h, struct bytes *out) {
    const struct http_request *r = h->request;
    struct span origin, asked;

    if (!h->origin_count) return;
    put_text(out, "vary", "origin");
    origin = http_request_header(r, "origin");
    if (!origin.at || !origin_allowed(h, origin)) return;
    http_put_header(out, span_of("access-control-allow-origin"), origin);
    if (!span_is(r->method, "OPTIONS")) {
        put_text(out, "access-control-expose-headers", "*");
        return;
    }
    put_text(out, "access-control-allow-methods", "GET, POST, DELETE");
    put_text(out, "access-control-max-age", "600");
    asked = http_request_header(r, "access-control-request-headers");
    if (asked.at)
        http_put_header(out, span_of("access-control-allow-headers"), asked);
}

static void put_date(struct bytes *out) {
    static _Thread_local struct {
        time_t t;
        char text[32];
    } last; /* a second has many heads */
    time_t t = time(NULL);
    struct tm tm;

    if (t != last.t) {
        last.t = t;
        if (!gmtime_r(&t, &tm) || !strftime(last.text, sizeof last.text,
                                            "%a, %d %b %Y %H:%M:%S GMT", &tm))
            *last.text = '\0';
    }
    if (*last.text) put_text(out, "date", last.text);
}

void response_head_put(const struct response_head *h, struct bytes *out) {
    bytes_puts(out, "HTTP/1.1 ");
    bytes_put_int(out, h->status);
    bytes_puts(out, " ");
    bytes_puts(out, http_status_text(h->status));
    bytes_puts(out, "\r\n");
    put_date(out);
    if (h->content_type) put_text(out, "content-type", h->content_type);
    for (int i = 0; i < h->header_count; i++)
        http_put_header(out, h->headers[i].name, h->headers[i].value);
    bytes_put(out, h->extra);
    bytes_puts(out, "x-content-type-options: nosniff\r\n");
    put_cors(h, out);
    if (!h->keep_alive)
        put_text(out, "connection", "close");
    else if (h->request->version_minor == 0)
        put_text(out, "connection", "keep-alive");
}
