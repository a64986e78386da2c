/* admin_state.h - what the routes of administration share; for admin*.c alone.
 */
#ifndef CORRAL_PROXY_ADMIN_STATE_H
#define CORRAL_PROXY_ADMIN_STATE_H

#include "proxy/admin.h"

enum { ADMIN_JOBS_MAX = 4 };

struct admin {
    struct admin_options o;
    int64_t started_s;
    int jobs; /* under way */
    bool closing;
};

/* Work that waits for a disk. A kind of job has this as its first member. */
struct admin_job {
    uv_work_t work; /* first, so that the callbacks can cast back */
    struct admin *admin;
    struct conn *conn; /* NULL: the client left */
    /* On the pool: `out` is filled with JSON, or `err`. It may touch its own
     * job and nothing else. */
    bool (*run)(struct admin_job *job, struct err *err);
    /* On the loop, when that went well, whether the client is there or not;
     * ends the job, now or later. NULL: there is nothing more to do. */
    void (*done)(struct admin_job *job);
    void (*clear)(struct admin_job *job); /* its members; may be NULL */
    struct bytes out;
    struct err err;
    bool ok;
};

/* Takes the job, which was xalloc()ed; the answer comes when it is done. */
void admin_job_start(struct admin *a, struct conn *c, struct admin_job *job);

/* The same for a job that needs no pool: false when there are too many, and it
 * is gone. */
MUST_USE bool admin_job_wait(struct admin *a, struct conn *c,
                             struct admin_job *job);
/* Answer with `out` and this status, or what is in `err`; free the job. */
void admin_job_end(struct admin_job *job, int status);

/* Answers. */
void admin_answer(struct admin *a, struct conn *c, int status,
                  const struct bytes *body);
/* Takes `json`. */
void admin_answer_json(struct admin *a, struct conn *c, int status,
                       cJSON *json);
void admin_fail(struct admin *a, struct conn *c, const struct err *err);
/* A row of the audit: what was done, to what, by the key of which id. All of
 * it is ours or checked. */
void admin_note(struct admin *a, const char *by, const char *what,
                const char *target);

/* admin_keys.c */
void admin_keys_list(struct admin *a, struct conn *c,
                     const struct http_request *r);
void admin_keys_add(struct admin *a, struct conn *c,
                    const struct http_request *r);
void admin_keys_revoke(struct admin *a, struct conn *c,
                       const struct http_request *r);
/* admin_audit.c */
void admin_audit(struct admin *a, struct conn *c, const struct http_request *r);
/* admin_policies.c */
void admin_policies(struct admin *a, struct conn *c,
                    const struct http_request *r);
void admin_policy(struct admin *a, struct conn *c,
                  const struct http_request *r);

#endif
