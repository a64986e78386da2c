/* download.h - one response as a whole, within a limit; what the tools that
 * read the web share. Event-loop thread. */
#ifndef CORRAL_TOOLS_DOWNLOAD_H
#define CORRAL_TOOLS_DOWNLOAD_H

#include "tools/fetch.h"
#include "tools/options.h"

struct download;

/* Borrowed during the callback. */
struct download_result {
    int status;
    const char *url;      /* after redirects */
    const char *redirect; /* where a redirect that was not followed leads */
    const char *type;     /* "text/html", in lower case; "" when untold */
    const char *charset;  /* NULL when untold */
    struct span body;
};

/* Once, unless cancelled; the download is freed when it returns. `result` is
 * NULL when `err` is set. */
typedef void download_done(void *user, const struct download_result *result,
                           const struct err *err);

/* Begin. `accepts` (may be NULL) is asked about the type of a response with
 * status 200 before its body is read. NULL with `err`, as fetch_start(). */
MUST_USE struct download *
download_start(struct fetcher *fetcher, const struct fetch_options *o,
               size_t bytes_max, bool (*accepts)(const char *type),
               download_done *done, void *user, struct err *err);
/* No callback after this. NULL is fine. */
void download_cancel(struct download *d);

/* A fetcher by a tool's options `inner_hosts` (a list; not read with
 * `any_address`) and `ca_file`. */
MUST_USE struct fetcher *fetcher_by_options(const struct tool_options *o,
                                            bool any_address, struct err *err);

bool type_is_html(const char *type);
/* Anything else that is text: text, JSON, XML and their kin. */
bool type_is_text(const char *type);

#endif
