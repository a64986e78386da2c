/* admin_audit.c - a page of the audit. It is read over a connection to the
 * database of its own, which no writer waits for. */
#include <stdlib.h>

#include "proxy/admin_state.h"
#include "proxy/audit_search.h"

struct audit_job {
    struct admin_job job; /* first, so that the callbacks can cast back */
    char *path;
    struct audit_search search;
};

static void clear(struct admin_job *job) {
    free(((struct audit_job *)job)->path);
}

static bool run(struct admin_job *job, struct err *err) {
    const struct audit_job *j = (const struct audit_job *)job;
    struct db *db = audit_db_open(j->path, 0, true, err);
    bool ok = db && audit_search_run(&j->search, db, &job->out, err);

    db_close(db);
    return ok;
}

void admin_audit(struct admin *a, struct conn *c,
                 const struct http_request *r) {
    struct err err = {0};
    struct audit_job *j;

    if (!a->o.audit) {
        (void)err_set(&err, ERR_NOT_FOUND, "this server keeps no audit");
        admin_fail(a, c, &err);
        return;
    }
    j = xalloc(sizeof *j);
    if (!audit_search_parse(&j->search, r->query, &err)) {
        free(j);
        admin_fail(a, c, &err);
        return;
    }
    j->path = xstrdup(a->o.audit_path);
    j->job.run = run;
    j->job.clear = clear;
    admin_job_start(a, c, &j->job);
}
