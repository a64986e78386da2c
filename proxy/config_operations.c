#include "proxy/config_operations.h"

#include <string.h>

bool config_read_audit(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    static const char *const keys[] = {"on_error", "days", "bytes_max", NULL};
    const cJSON *map, *node;

    if (!config_read_map(s, root, "audit", keys, &map)) return false;
    if (!map) return true;
    c->audit.on = true;
    node = config_get(map, "on_error");
    if (!config_unset(node)) {
        c->audit.closed =
            cJSON_IsString(node) && !strcmp(node->valuestring, "closed");
        if (!c->audit.closed &&
            !(cJSON_IsString(node) && !strcmp(node->valuestring, "count")))
            return yaml_fail(s->yaml, node, s->err,
                             "on_error must be closed or count");
    }
    return config_read_small(s, map, "days", 0, 36500, &c->audit.days) &&
           config_read_int(s, map, "bytes_max", 1 << 20, (int64_t)1 << 50,
                           &c->audit.bytes_max);
}
