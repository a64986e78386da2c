/* responses_file.h - stored responses on the disk, behind the store in memory:
 * read once at the start, written by libuv's pool as they come and go. What was
 * put in the last moments before a crash may be missing. Event-loop thread,
 * but for responses_file_open(), which waits for the disk. */
#ifndef CORRAL_PROXY_RESPONSES_FILE_H
#define CORRAL_PROXY_RESPONSES_FILE_H

#include <uv.h>

#include "proxy/responses_store.h"

struct responses_file;

struct responses_row {
    struct span id, owner;
    int64_t created; /* seconds since 1970 */
    struct response_stored texts;
};

/* Opens responses.db in `folder`, lets go what is older than `days` (0: for
 * good) or beyond the newest `count`, and tells the rest, the oldest first. */
MUST_USE struct responses_file *
responses_file_open(uv_loop_t *loop, const char *folder, int days, int count,
                    void (*on_row)(void *user, const struct responses_row *row),
                    void *user, struct err *err);
/* Everything is copied. A full queue or disk is logged: the row is then in
 * memory only. */
void responses_file_put(struct responses_file *f,
                        const struct responses_row *row);
void responses_file_remove(struct responses_file *f, const char *id);
/* What was asked for is still written. Frees itself in the loop. NULL is fine.
 */
void responses_file_close(struct responses_file *f);

#endif
