/* audit.h - the record of what was decided: a row for each decision, for each
 * request and for what changed the rules. Without the texts: keyed hashes,
 * places and scores. Rows come from any event loop, those of one in order; they
 * wait in memory, bounded, while libuv's pool writes them. All else is the
 * business of the loop that opened it.
 *
 * While writing fails (a full disk, a locked file), rows are kept and tried
 * again each second. What passes the bound is lost, counted, and the loss is
 * itself a row. With `closed`, audit_refuses() says meanwhile that no more
 * should be let in. */
#ifndef CORRAL_PROXY_AUDIT_H
#define CORRAL_PROXY_AUDIT_H

#include <uv.h>

#include "guard/verdict.h"
#include "proxy/pass.h"

enum { AUDIT_ROWS_MAX = 20000, AUDIT_BYTES_MAX = 32 << 20 };

struct audit;

struct audit_options {
    const char *folder; /* existing; audit.db and audit.key are there */
    bool closed;        /* no audit, no answers */
    int days;           /* rows are let go after; 0: never */
    bool no_addresses;  /* rows do not say where a client was */
    uint64_t bytes_max; /* of the database; 0: no limit */
};

MUST_USE struct audit *
audit_open(uv_loop_t *loop, const struct audit_options *o, struct err *err);
/* Writes what waits. Frees itself in the loop. NULL is fine. */
void audit_close(struct audit *a);
/* See audit_options; from now on. */
void audit_set(struct audit *a, bool closed, int days); /* NULL is fine */
bool audit_refuses(const struct audit *a);              /* of NULL: false */

/* Whose doing a row is. */
struct audit_subject {
    const char *request_id;
    const char *route; /* "chat" */
    const char *key_id;
    const char *peer; /* the client's address; "": nobody waits any more */
};

/* The request in hand of a connection; borrowed from it. */
struct conn;
struct audit_subject audit_subject_of(struct conn *c, const char *route);

/* All of these do nothing when `a` is NULL. */

/* `hash` is that of the text that was judged; "" when unknown. */
void audit_decision(struct audit *a, const struct audit_subject *s,
                    enum channel channel, const struct verdict *v, uint64_t ns,
                    const char *hash);

struct audit_end {
    int status; /* 499: the client left */
    uint64_t ns;
    int decisions;
    int prompt_tokens;
    int completion_tokens;
    const char *policy; /* its revision */
};
void audit_request(struct audit *a, const struct audit_subject *s,
                   const struct audit_end *end);
/* What a person said to a call that waited, or that nobody did in time. */
struct audit_approval {
    const char *id;       /* of the question */
    const char *decision; /* the verdict that asked; "" when unknown */
    const char *checks;   /* of the policy, comma-separated */
    const char *answer;   /* "approved", "denied", "expired" */
    const char *key_id;   /* of who answered */
    int64_t waited_s;
};
void audit_approval(struct audit *a, const struct audit_approval *p);
/* "start", "policy", ...; `detail` is ours or checked. */
void audit_event(struct audit *a, const char *event, const char *detail);

/* A keyed hash of texts that come in pieces; NULL when `a` is. */
struct hash_stream *audit_hash_new(const struct audit *a);
/* Frees it; `out` is "" for NULL. */
void audit_hash_end(struct hash_stream *h, char out[HASH_HEX_SIZE]);

/* For metrics; on the loop that opened it. */
double audit_rows_written(const struct audit *a);
double audit_rows_waiting(struct audit *a);
double audit_rows_lost(struct audit *a);
bool audit_failing(const struct audit *a);

#endif
