/* audit_chain.h - the audit's rows in their database, each bound to the one
 * before it. Any thread, as db.h; nothing here belongs on the event loop.
 *
 * A row is one JSON text, kept as written. Its hash is keyed BLAKE2b over the
 * hash before it and the text, so a row that was changed, taken out, put in or
 * moved breaks the chain, and who lacks the key cannot mend it. A keyed mark
 * says where the chain ends (or cutting off its tail would not show), another
 * where it begins, since old rows are let go. */
#ifndef CORRAL_PROXY_AUDIT_CHAIN_H
#define CORRAL_PROXY_AUDIT_CHAIN_H

#include "base/db.h"
#include "base/hash.h"

enum { AUDIT_KEY_SIZE = 48, AUDIT_PROBLEMS_MAX = 20 };

struct audit_key {
    char text[AUDIT_KEY_SIZE + 1]; /* hex digits */
};

/* The key beside a database, FOLDER/audit.key; made (mode 0600) when neither
 * it nor a database is there. */
MUST_USE bool audit_key_open(struct audit_key *out, const char *folder,
                             struct err *err);
MUST_USE bool audit_key_read(struct audit_key *out, const char *path,
                             struct err *err);
/* A keyed hash of a text, so that rows tell whether two texts were the same
 * and not what they were. */
struct hash_stream *audit_text_hash_new(const struct audit_key *key);

/* FOLDER/audit.db; the caller frees. */
char *audit_db_path(const char *folder);
/* `bytes_max` 0: no limit. */
MUST_USE struct db *audit_db_open(const char *path, uint64_t bytes_max,
                                  bool read_only, struct err *err);

/* Within a transaction. `tail` is a row without its opening brace and number:
 * `"at":...}`. */
MUST_USE bool audit_chain_add(struct db *db, const struct audit_key *key,
                              struct span tail, struct err *err);
/* Within a transaction: let go of rows from before `at_ms`, `most` of them at
 * a time. */
MUST_USE bool audit_chain_trim(struct db *db, const struct audit_key *key,
                               int64_t at_ms, int most, struct err *err);

struct audit_report {
    int64_t rows;
    int64_t first, last; /* numbers of the rows there are; 0: none */
    char head[HASH_HEX_SIZE];
    int problem_count; /* of which AUDIT_PROBLEMS_MAX are told */
};

/* Follow the whole chain. `on_problem` gets one line for each thing that is
 * wrong. False when the database could not be read. */
MUST_USE bool
audit_chain_verify(struct db *db, const struct audit_key *key,
                   void (*on_problem)(void *user, const char *text), void *user,
                   struct audit_report *out, struct err *err);

/* Rows from `from_ms` on and before `end_ms`, oldest first, at most `most`. The
 * span is borrowed for the call; false from it ends the walk. */
MUST_USE bool audit_chain_each(struct db *db, int64_t from_ms, int64_t end_ms,
                               int64_t most,
                               bool (*on_row)(void *user, struct span row),
                               void *user, struct err *err);
/* Tokens that each key has used since `from_ms`. */
MUST_USE bool audit_chain_spent(struct db *db, int64_t from_ms,
                                void (*on_key)(void *user, const char *key_id,
                                               int64_t tokens),
                                void *user, struct err *err);

#endif
