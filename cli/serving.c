#include "cli/serving.h"

bool serving_apply(const struct serving *s, struct config *c, struct err *err) {
    if (s->config && !config_load(c, s->config, err)) return false;
    if (s->policy) config_set_string(&c->policy, s->policy);
    if (s->model) config_set_string(&c->model, s->model);
    if (s->tools && !config_set_tools(c, s->tools, err)) return false;
    if (s->log && !log_level_from_name(s->log, &c->log))
        return err_set(err, ERR_INPUT, "--log %s: no such level", s->log);
    return !s->upstream || config_upstream_url(c, s->upstream, err);
}
