#include "proxy/config_tools.h"

#include <stdlib.h>
#include <string.h>

void config_clear_tools(struct config *c) {
    while (c->tool_count) free(c->tools[--c->tool_count].name);
}

/* "calculator", or one key with a map of options: {sql_query: {...}}. */
static bool item_read(const struct config_source *s, const cJSON *node,
                      struct config_tool *out) {
    const cJSON *options = node->child;

    out->place = node;
    if (!cJSON_IsObject(node)) {
        if (!config_check_text(s, node, "tools")) return false;
        out->name = node->valuestring;
        return true;
    }
    if (!options || options->next)
        return yaml_fail(s->yaml, node, s->err,
                         "a tool is a name, or one name with its options");
    if (!cJSON_IsObject(options) && !cJSON_IsNull(options))
        return yaml_fail(s->yaml, options, s->err,
                         "the options of %.64s must be a map", options->string);
    out->options = cJSON_IsObject(options) ? options : NULL;
    out->name = options->string;
    return true;
}

/* A tool with options may be there more than once: they may give it another
 * name, and if they do not, the registry refuses it. */
static bool is_twice(const struct config *c, const struct config_tool *tool) {
    for (int i = 0; i < c->tool_count; i++)
        if (!strcmp(c->tools[i].name, tool->name) &&
            !(tool->options && c->tools[i].options))
            return true;
    return false;
}

bool config_read_tools(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    const cJSON *list = config_get(root, "tools"), *node;

    if (config_unset(list)) return true;
    if (!cJSON_IsArray(list))
        return yaml_fail(s->yaml, list, s->err, "tools must be a list");
    cJSON_ArrayForEach(node, list) {
        struct config_tool tool = {0};

        if (!item_read(s, node, &tool)) return false;
        if (is_twice(c, &tool))
            return yaml_fail(s->yaml, node, s->err, "\"%.64s\" is there twice",
                             tool.name);
        if (c->tool_count == CONFIG_TOOLS_MAX)
            return yaml_fail(s->yaml, node, s->err, "more than %d tools",
                             CONFIG_TOOLS_MAX);
        tool.name = xstrdup(tool.name);
        c->tools[c->tool_count++] = tool;
    }
    return true;
}

bool config_set_tools(struct config *c, const char *list, struct err *err) {
    struct span rest = span_of(list);

    config_clear_tools(c);
    while (rest.size) {
        size_t end = span_find(rest, span_of(","));

        if (end == SIZE_MAX) end = rest.size;
        if (c->tool_count == CONFIG_TOOLS_MAX)
            return err_set(err, ERR_LIMIT, "--tools: more than %d",
                           CONFIG_TOOLS_MAX);
        if (end)
            c->tools[c->tool_count++] = (struct config_tool){
                .name = span_dup(span_slice(rest, 0, end))};
        rest = span_slice(rest, end + 1, rest.size);
    }
    return true;
}
