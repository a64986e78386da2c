#include "cli/tool_hearing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* The policy's own limit is for people who wait; this is for many texts at
 * once, on a machine that may have just started. */
enum { DEADLINE_MS = 120 * 1000, TURN_MS = 20, QUESTIONS = 2 };

/* What one tool's server says, under the policy that is heard now. */
struct testimony {
    struct tool_hearing *hearing;
    struct guard_check *checks[QUESTIONS]; /* under way, or NULL */
    int index;                             /* in the registry */
    const char *refused;                   /* why; NULL: it is not */
};

/* What a verdict is told to. */
struct question {
    struct testimony *testimony;
    int number;
};

struct tool_hearing {
    /* Keeps the loop turning, and goes on from policy to policy. */
    uv_timer_t timer;
    struct guard *guard;
    const struct registry *tools;
    struct policy **policies; /* each once */
    int policy_count;
    int at; /* the one that is heard; -1: none yet */
    struct testimony testimonies[REGISTRY_TOOLS_MAX];
    struct question questions[REGISTRY_TOOLS_MAX][QUESTIONS];
    int count;
    int pending; /* verdicts */
    tool_hearing_done *done;
    void *user;
};

static void on_turn(uv_timer_t *timer);

/* At the loop's next turn; it finds out by itself whether all was said. */
static void hurry(struct tool_hearing *h) {
    (void)uv_timer_start(&h->timer, on_turn, 0, TURN_MS);
}

/* ---- one tool ---- */

static void on_verdict(void *user, const struct verdict *v) {
    struct question *q = user;
    struct testimony *t = q->testimony;

    t->checks[q->number] = NULL;
    if (--t->hearing->pending == 0) hurry(t->hearing);
    if (v->action == VERDICT_ALLOW || v->action == VERDICT_FLAG) return;
    t->refused = v->cause == VERDICT_CAUSE_UNAVAILABLE
                     ? "the guard could not judge its definition"
                     : "the policy refuses its definition";
}

static void ask(struct testimony *t, int number, enum channel channel,
                struct span text) {
    struct tool_hearing *h = t->hearing;
    struct question *q = &h->questions[t - h->testimonies][number];
    struct guard_turn turn = {GUARD_USER, text};
    struct guard_item item = {channel, text};
    struct guard_request request = {.policy = h->policies[h->at],
                                    .items = &item,
                                    .item_count = 1,
                                    .turns = &turn,
                                    .turn_count = 1,
                                    .channel = channel,
                                    .deadline_ms = clock_ms() + DEADLINE_MS};
    struct guard_check *check;

    *q = (struct question){t, number};
    h->pending++;
    check = guard_check_start(h->guard, &request, on_verdict, q);
    if (check) t->checks[number] = check;
}

/* A definition is a document, too: what a policy has on those holds for it. */
static void hear(struct testimony *t, const struct tool_said *said) {
    if (!said->text) {
        t->refused = "its definition is too long";
        return;
    }
    ask(t, 0, CHANNEL_DEFINITION, span_of(said->text));
    ask(t, 1, CHANNEL_DOCUMENT, span_of(said->text));
}

/* ---- one policy ---- */

static void hear_policy(struct tool_hearing *h) {
    h->count = 0;
    for (int i = 0; i < registry_count(h->tools); i++) {
        const struct tool *tool = registry_at(h->tools, i);
        struct testimony *t = &h->testimonies[h->count];

        if (!tool->said) continue;
        *t = (struct testimony){.hearing = h, .index = i};
        h->count++;
        hear(t, tool->said);
    }
}

static void tell_refused(const struct tool_hearing *h,
                         const struct testimony *t) {
    const struct tool_said *said = registry_at(h->tools, t->index)->said;
    char tool[3 * TOOL_NAME_MAX], reason[ERR_TEXT_MAX];

    log_event(LOG_WARN, "mcp_tool_refused",
              "server=%s tool=%s sha256=%s reason=%s revision=%s", said->server,
              log_quote(said->remote, tool, sizeof tool), said->digest,
              log_quote(t->refused, reason, sizeof reason),
              policy_revision(h->policies[h->at]));
}

static void settle(struct tool_hearing *h) {
    uint64_t admitted = 0;

    for (int i = 0; i < h->count; i++) {
        const struct testimony *t = &h->testimonies[i];

        if (t->refused)
            tell_refused(h, t);
        else
            admitted |= UINT64_C(1) << t->index;
    }
    policy_admit_tools(h->policies[h->at], admitted);
}

/* ---- all of them ---- */

static void on_closed(uv_handle_t *handle) {
    struct tool_hearing *h = handle->data;

    for (int i = 0; i < h->policy_count; i++) policy_free(h->policies[i]);
    free(h->policies);
    free(h);
}

static void on_turn(uv_timer_t *timer) {
    struct tool_hearing *h = timer->data;

    if (h->pending) return;
    if (h->at >= 0) settle(h);
    if (++h->at < h->policy_count) {
        hear_policy(h);
    } else {
        uv_close((uv_handle_t *)timer, on_closed);
        h->done(h->user);
    }
}

static int by_address(const void *a, const void *b) {
    const struct policy *const *x = a, *const *y = b;

    return (*x > *y) - (*x < *y);
}

static void take_policies(struct tool_hearing *h,
                          const struct policy *const *policies, int count) {
    size_t room = (size_t)count + 1;
    struct policy **list = xalloc_array(room, sizeof *list);

    for (int i = 0; i < count; i++) list[i] = policy_ref(policies[i]);
    qsort(list, (size_t)count, sizeof *list, by_address);
    for (int i = 0; i < count; i++)
        if (h->policy_count && list[h->policy_count - 1] == list[i])
            policy_free(list[i]);
        else
            list[h->policy_count++] = list[i];
    h->policies = list;
}

struct tool_hearing *tool_hearing_new(uv_loop_t *loop, struct guard *g,
                                      const struct registry *r,
                                      const struct policy *const *policies,
                                      int count, tool_hearing_done *done,
                                      void *user) {
    struct tool_hearing *h = xalloc(sizeof *h);

    h->guard = g;
    h->tools = r;
    h->at = -1;
    h->done = done;
    h->user = user;
    take_policies(h, policies, count);
    (void)uv_timer_init(loop, &h->timer);
    h->timer.data = h;
    hurry(h);
    return h;
}

void tool_hearing_cancel(struct tool_hearing *h) {
    if (!h) return;
    for (int i = 0; i < h->count; i++)
        for (int k = 0; k < QUESTIONS; k++)
            guard_check_cancel(h->testimonies[i].checks[k]);
    uv_close((uv_handle_t *)&h->timer, on_closed);
}

static void on_ended(void *user) {
    *(bool *)user = true;
}

void tool_hearing_run(uv_loop_t *loop, struct guard *g,
                      const struct registry *r,
                      const struct policy *const *policies, int count) {
    bool ended = false;

    if (!tool_hearing_new(loop, g, r, policies, count, on_ended, &ended))
        return;
    while (!ended) (void)uv_run(loop, UV_RUN_ONCE);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}
