#include "proxy/config_loops.h"

static bool refuse(const struct config *c, const char *what, struct err *err) {
    return err_set_field(err, ERR_INPUT, "loops",
                         "loops: %d, but %s needs loops: 1", c->loops, what);
}

bool config_check_shares(const struct config *c, int loops, struct err *err) {
    for (int i = 0; i < c->upstream_count; i++) {
        const struct config_upstream *u = &c->upstreams[i];

        if (u->concurrency && u->concurrency < loops)
            return err_set_field(
                err, ERR_INPUT, "loops",
                "loops: %d loops cannot share the concurrency %d of "
                "upstream %.64s",
                loops, u->concurrency, u->name);
    }
    return true;
}

bool config_check_loops(const struct config *c, struct err *err) {
    if (c->loops == 1) return true;
    if (c->backend == BACKEND_ENGINE)
        return refuse(c, "a model that runs here (no backend, or engine)", err);
    if (c->guard.model) return refuse(c, "guard.model", err);
    if (c->tool_count) return refuse(c, "tools", err);
    if (c->mcp) return refuse(c, "mcp", err);
    return config_check_shares(c, c->loops, err);
}
