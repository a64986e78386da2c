#include "cli/mcp_judge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tools/mcp_definition.h"

/* The policy's own limit is for people who wait; this is for many texts at
 * once, on a machine that starts. */
enum { DEADLINE_MS = 120 * 1000, TURN_MS = 20 };

/* One definition before the guard. */
struct hearing {
    const cJSON *definition;
    const char *refused; /* why; NULL: it is not */
    int *pending;        /* hearings under way, this one among them */
};

static void on_verdict(void *user, const struct verdict *v) {
    struct hearing *h = user;

    --*h->pending;
    if (v->action == VERDICT_ALLOW || v->action == VERDICT_FLAG) return;
    h->refused = v->cause == VERDICT_CAUSE_UNAVAILABLE
                     ? "the guard could not judge its definition"
                     : "the policy refuses its definition";
}

static void ask(const struct mcp_judge *j, struct hearing *h,
                enum channel channel, struct span text) {
    struct guard_turn turn = {GUARD_USER, text};
    struct guard_item item = {channel, text};
    struct guard_request request = {.policy = j->policy,
                                    .items = &item,
                                    .item_count = 1,
                                    .turns = &turn,
                                    .turn_count = 1,
                                    .channel = channel,
                                    .deadline_ms = clock_ms() + DEADLINE_MS};

    ++*h->pending;
    (void)guard_check_start(j->guard, &request, on_verdict, h);
}

/* A definition is a document, too: what a policy has on those holds for it. */
static void hear(const struct mcp_judge *j, struct hearing *h) {
    struct bytes text = {.limit = MCP_DEFINITION_TEXT_MAX};

    if (!mcp_definition_text(h->definition, &text, NULL)) {
        h->refused = "its definition is too long";
    } else {
        ask(j, h, CHANNEL_DEFINITION, span_bytes(&text));
        ask(j, h, CHANNEL_DOCUMENT, span_bytes(&text));
    }
    bytes_free(&text);
}

static void on_timer(uv_timer_t *timer) {
    (void)timer; /* it only keeps the loop turning */
}

static void wait_for_all(uv_loop_t *loop, const int *pending) {
    uv_timer_t timer;

    (void)uv_timer_init(loop, &timer);
    (void)uv_timer_start(&timer, on_timer, TURN_MS, TURN_MS);
    while (*pending) (void)uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

void mcp_judge_tools(const struct mcp_judge *j, struct mcp *m) {
    const cJSON *list = mcp_definitions(m), *definition;
    struct hearing *hearings =
        xalloc_array((size_t)cJSON_GetArraySize(list) + 1, sizeof *hearings);
    int count = 0, pending = 0;

    cJSON_ArrayForEach(definition, list) {
        struct hearing *h = &hearings[count++];

        *h = (struct hearing){.definition = definition, .pending = &pending};
        if (!mcp_is_approved(m, definition)) hear(j, h);
    }
    wait_for_all(j->loop, &pending);
    for (int i = 0; i < count; i++)
        if (hearings[i].refused)
            mcp_refuse(m, hearings[i].definition, hearings[i].refused);
    free(hearings);
}
