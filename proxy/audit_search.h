/* audit_search.h - rows of the audit that somebody looks for, the newest first,
 * a page at a time. Any thread, as audit_chain.h; waits for the disk. */
#ifndef CORRAL_PROXY_AUDIT_SEARCH_H
#define CORRAL_PROXY_AUDIT_SEARCH_H

#include "proxy/audit_chain.h"

enum {
    AUDIT_SEARCH_ROWS_MAX = 1000,
    /* Looked at for one page, so that a search for what is not there ends. */
    AUDIT_SEARCH_SCAN_MAX = 200000,
    AUDIT_WORD_MAX = 64
};

/* Empty words match all rows. */
struct audit_search {
    int64_t from_ms, end_ms; /* from on, and before */
    int64_t before;          /* rows of a smaller number; 0: all */
    int rows_max;            /* 1 to AUDIT_SEARCH_ROWS_MAX */
    char kind[AUDIT_WORD_MAX + 1];
    char action[AUDIT_WORD_MAX + 1];
    char channel[AUDIT_WORD_MAX + 1];
    char key[AUDIT_WORD_MAX + 1];
    char request[AUDIT_WORD_MAX + 1];
    char check[AUDIT_WORD_MAX + 1]; /* that found something */
};

/* From a URL's query: limit, before, from, until, kind, action, channel, key,
 * request, check. Times are milliseconds as in a row, 2026-11-28 or
 * 2026-11-28T10:00:00Z. */
MUST_USE bool audit_search_parse(struct audit_search *out, struct span query,
                                 struct err *err);
/* Append {"object":"list","data":[rows],"next":N|null}: `before` of the page
 * that follows. */
MUST_USE bool audit_search_run(const struct audit_search *s, struct db *db,
                               struct bytes *out, struct err *err);

#endif
