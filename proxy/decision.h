/* decision.h - a verdict told to all that keep count of verdicts: the metrics,
 * the audit, and the line that the request gets in the log. Event-loop thread.
 */
#ifndef CORRAL_PROXY_DECISION_H
#define CORRAL_PROXY_DECISION_H

#include "guard/policy.h"
#include "proxy/audit.h"

struct metrics;

/* What was judged, for whom. Borrowed during the call. */
struct decision {
    struct conn *conn; /* NULL: nobody waits for the answer any more */
    struct audit_subject subject;
    enum channel channel;
    const struct policy *policy;
    uint64_t ns;      /* until the verdict; 0: not known, as of a stream */
    const char *hash; /* of the text that was judged; "" when unknown */
};

/* `a` may be NULL. */
void decision_note(struct metrics *m, struct audit *a, const struct decision *d,
                   const struct verdict *v);

#endif
