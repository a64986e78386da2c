#include "tools/registry.h"

#include <stdlib.h>
#include <string.h>

#include "tools/added.h"
#include "tools/artefact.h"
#include "tools/options.h"
#include "tools/schema.h"
#include "tools/tool_builtin.h"
#include "tools/tool_web.h"

/* Those that take no options. */
static const struct tool *const plain[] = {&tool_calculator, &tool_time};

/* Those that do, each opened by its own file. */
static const struct {
    const char *name;
    tool_open *open;
} opened[] = {{"code_interpreter", code_interpreter_open},
              {"sql_query", sql_query_open},
              {"file_search", file_search_open},
              {"http", tool_http_open},
              {"web_fetch", web_fetch_open},
              {"web_search", web_search_open},
              {NULL, NULL}};

struct registry {
    const struct tool *tools[REGISTRY_TOOLS_MAX];
    struct tool *owned[REGISTRY_TOOLS_MAX]; /* of them, or NULL */
    struct artefacts *artefacts;
    cJSON *schemas[REGISTRY_TOOLS_MAX];
    int count;
};

struct registry *registry_new(void) {
    struct registry *r = xalloc(sizeof *r);

    r->artefacts = artefacts_new();
    return r;
}

void registry_free(struct registry *r) {
    if (!r) return;
    for (int i = 0; i < r->count; i++) {
        cJSON_Delete(r->schemas[i]);
        if (r->owned[i] && r->owned[i]->close) r->owned[i]->close(r->owned[i]);
    }
    artefacts_free(r->artefacts);
    free(r);
}

static bool name_valid(const char *name) {
    size_t size = name ? strlen(name) : 0;

    return size >= 1 && size <= TOOL_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-") == size;
}

bool registry_add(struct registry *r, const struct tool *tool,
                  struct err *err) {
    struct err inner = {0};
    cJSON *schema;

    if (!name_valid(tool->name))
        return err_set(err, ERR_INPUT,
                       "a tool's name has 1 to 64 of a-z A-Z 0-9 _ -");
    if (registry_find(r, span_of(tool->name)))
        return err_set(err, ERR_INPUT, "there are two tools named \"%s\"",
                       tool->name);
    if (r->count == REGISTRY_TOOLS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d tools",
                       REGISTRY_TOOLS_MAX);
    schema = json_parse(span_of(tool->schema), &inner);
    if (schema && !cJSON_IsObject(schema))
        (void)err_set(&inner, ERR_INPUT, "not an object");
    else if (schema && schema_check(schema, &inner)) {
        r->tools[r->count] = tool;
        r->schemas[r->count++] = schema;
        return true;
    }
    cJSON_Delete(schema);
    return err_set(err, ERR_INPUT, "the schema of tool \"%s\": %s", tool->name,
                   inner.text);
}

bool registry_add_builtin(struct registry *r, const char *name,
                          struct err *err) {
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(plain[i]->name, name))
            return registry_add(r, plain[i], err);
    return err_set(err, ERR_NOT_FOUND, "there is no tool \"%.64s\"", name);
}

bool registry_take(struct registry *r, struct tool *tool, struct err *err) {
    if (registry_add(r, tool, err)) {
        r->owned[r->count - 1] = tool;
        return true;
    }
    if (tool->close) tool->close(tool);
    return false;
}

static tool_open *opener_of(const char *name) {
    for (size_t i = 0; opened[i].name; i++)
        if (!strcmp(opened[i].name, name)) return opened[i].open;
    for (size_t i = 0; added_tools[i].name; i++)
        if (!strcmp(added_tools[i].name, name)) return added_tools[i].open;
    return NULL;
}

bool registry_open(struct registry *r, const struct tool_options *options,
                   struct err *err) {
    static const char *const none[] = {NULL};
    tool_open *open = opener_of(options->name);
    struct err inner = {0};
    struct tool *tool;

    if (open) {
        tool = open(options, err);
        if (!tool) return false;
        if (registry_take(r, tool, &inner)) return true;
    } else {
        if (!option_only(options, none, err)) return false;
        if (registry_add_builtin(r, options->name, &inner)) return true;
    }
    return option_fail(options, NULL, err, "%s", inner.text);
}

struct artefacts *registry_artefacts(const struct registry *r) {
    return r->artefacts;
}

bool registry_artefact(const struct registry *r, struct span id,
                       struct span owner, const char **type,
                       struct span *content) {
    return artefacts_get(r->artefacts, id, owner, type, content);
}

const struct tool *registry_find(const struct registry *r, struct span name) {
    for (int i = 0; i < r->count; i++)
        if (span_is(name, r->tools[i]->name)) return r->tools[i];
    return NULL;
}

int registry_count(const struct registry *r) {
    return r->count;
}

const struct tool *registry_at(const struct registry *r, int index) {
    return r->tools[index];
}

const cJSON *registry_schema(const struct registry *r, int index) {
    return r->schemas[index];
}
