/* search_index.h - the words of a folder's files, by block and line: SQLite's
 * FTS5, in a file that outlives the process or in memory. It holds nothing that
 * the folder does not, so a file that is damaged, or of other settings, is made
 * anew. Never on the event loop but to open and close; one thread at a time. */
#ifndef CORRAL_TOOLS_SEARCH_INDEX_H
#define CORRAL_TOOLS_SEARCH_INDEX_H

#include "base/bytes.h"

struct search_index;

enum { SEARCH_INDEX_BYTES_MAX = 2000000000 };

/* What the index remembers of a file, to tell that it changed. */
struct search_file {
    const char *path; /* within the folder */
    int64_t time_ns;  /* of its last change */
    int64_t size;
};

/* `path` NULL: in memory. `of` says what is indexed and how: with another text
 * than before the index begins anew. */
MUST_USE struct search_index *
search_index_open(const char *path, struct span of, struct err *err);
void search_index_close(struct search_index *x); /* NULL is fine */

/* One walk of the folder, in one transaction: every file is asked for with
 * search_index_knows(), those that are not known are put. */
MUST_USE bool search_index_begin(struct search_index *x, struct err *err);
bool search_index_knows(struct search_index *x, const struct search_file *file);
/* In place of what was there. Empty: the file is remembered as one without
 * words. */
MUST_USE bool search_index_put(struct search_index *x,
                               const struct search_file *file, struct span text,
                               struct err *err);
/* `whole`: the walk met every file, so what it did not meet is gone. A walk
 * that was cut short keeps what it did. */
MUST_USE bool search_index_end(struct search_index *x, bool whole,
                               struct err *err);
void search_index_undo(struct search_index *x);

/* One block that has some of the words, the best first. */
struct search_hit {
    struct span path;
    int line;         /* of the first word found */
    struct span text; /* SEARCH_MARK around each word found */
};

#define SEARCH_MARK "\x01"

/* Any of the words of `query`; ERR_INPUT when there are none. Spans live during
 * the callback. */
MUST_USE bool
search_index_find(struct search_index *x, const char *query, int most,
                  void (*on_hit)(void *user, const struct search_hit *hit),
                  void *user, struct err *err);

#endif
