#include "cli/mcp_servers.h"

#include <stdlib.h>

#include "base/log.h"
#include "tools/mcp.h"

enum { SERVERS_MAX = 32, WAIT_MS = 20 };

struct mcp_servers {
    struct mcp *servers[SERVERS_MAX];
    const cJSON *places[SERVERS_MAX];
    int count;
};

static bool open_one(struct mcp_servers *s, const struct tool_options *o,
                     struct err *err) {
    if (!cJSON_IsObject(o->map))
        return option_fail(o, o->place, err, "a server is a map");
    if (s->count == SERVERS_MAX)
        return option_fail(o, o->place, err, "more than %d servers",
                           SERVERS_MAX);
    s->servers[s->count] = mcp_open(o, err);
    if (!s->servers[s->count]) return false;
    s->places[s->count++] = o->place;
    return true;
}

static void on_timer(uv_timer_t *timer) {
    (void)timer; /* it only keeps the loop turning */
}

static bool all_settled(const struct mcp_servers *s) {
    for (int i = 0; i < s->count; i++)
        if (mcp_state(s->servers[i], NULL) == MCP_STARTING) return false;
    return true;
}

/* Each server has its own deadline, so this ends. */
static void wait_for_all(const struct mcp_servers *s, uv_loop_t *loop) {
    uv_timer_t timer;

    (void)uv_timer_init(loop, &timer);
    (void)uv_timer_start(&timer, on_timer, WAIT_MS, WAIT_MS);
    while (!all_settled(s)) (void)uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

static bool add_one(struct mcp *m, const struct tool_options *o,
                    struct registry *r, struct err *err) {
    char quoted[ERR_TEXT_MAX];
    struct err why = {0};

    if (mcp_state(m, &why) == MCP_LISTED) {
        if (mcp_add_tools(m, r, &why)) return true;
    } else if (mcp_is_optional(m)) {
        log_event(LOG_WARN, "mcp_left_out", "server=%s reason=%s", mcp_name(m),
                  log_quote(why.text, quoted, sizeof quoted));
        return true;
    }
    return option_fail(o, o->place, err, "server %s: %s", mcp_name(m),
                       why.text);
}

struct mcp_servers *mcp_servers_open(const struct config *c, uv_loop_t *loop,
                                     const char *data, struct registry *r,
                                     struct err *err) {
    struct mcp_servers *s = xalloc(sizeof *s);
    struct tool_options o = {.name = "mcp",
                             .yaml = c->yaml,
                             .loop = loop,
                             .folder = c->folder,
                             .data = data};
    bool ok = true;

    cJSON_ArrayForEach(o.map, c->mcp) {
        o.place = o.map;
        ok = open_one(s, &o, err);
        if (!ok) break;
    }
    if (ok) wait_for_all(s, loop);
    for (int i = 0; ok && i < s->count; i++) {
        o.map = o.place = s->places[i];
        ok = add_one(s->servers[i], &o, r, err);
    }
    if (ok) return s;
    mcp_servers_close(s);
    return NULL;
}

struct admission {
    const struct registry *tools;
    const struct policy *policy;
};

static bool is_admitted(void *user, const struct tool *tool) {
    const struct admission *a = user;

    for (int i = 0; i < registry_count(a->tools); i++)
        if (registry_at(a->tools, i) == tool)
            return !tool->said || policy_admits_tool(a->policy, i);
    return false;
}

bool mcp_servers_pin(struct mcp_servers *s, const struct registry *r,
                     const struct policy *policy, struct err *err) {
    struct admission a = {r, policy};

    for (int i = 0; i < s->count; i++)
        if (!mcp_keep_pins(s->servers[i], is_admitted, &a, err)) return false;
    return true;
}

void mcp_servers_close(struct mcp_servers *s) {
    if (!s) return;
    for (int i = 0; i < s->count; i++) mcp_close(s->servers[i]);
    free(s);
}
