/* anthropic_tools.c - the tools of a body in Anthropic's shape. */
#include "proxy/anthropic.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_MAX = 128 };

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

static bool name_valid(const char *name) {
    size_t size = strlen(name);

    return size >= 1 && size <= NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-") == size;
}

static bool tool_named(const struct chat_request *r, const char *name) {
    for (int i = 0; i < r->tool_count; i++)
        if (span_is(r->tools[i].name, name)) return true;
    return false;
}

static bool tool_read(struct chat_request *r, const cJSON *json,
                      const char *path, struct err *err) {
    struct chat_tool *out = &r->tools[r->tool_count];
    const char *type = "custom", *name = NULL, *description = "";
    char field[ERR_FIELD_MAX];

    if (!cJSON_IsObject(json)) return bad(err, path, "expected an object");
    if (!json_get_string(json, path, "type", &type, err) ||
        !json_get_string(json, path, "name", &name, err) ||
        !json_get_string(json, path, "description", &description, err))
        return false;
    if (strcmp(type, "custom") != 0) {
        (void)snprintf(field, sizeof field, "%s.type", path);
        return err_set_field(err, ERR_UNSUPPORTED, field,
                             "%s: only tools of the client's own, not "
                             "\"%.40s\"",
                             field, type);
    }
    (void)snprintf(field, sizeof field, "%s.name", path);
    if (!name || !name_valid(name))
        return bad(err, field, "expected 1 to 128 of a-z A-Z 0-9 _ -");
    if (tool_named(r, name)) return bad(err, field, "used twice");
    out->schema = cJSON_GetObjectItemCaseSensitive(json, "input_schema");
    (void)snprintf(field, sizeof field, "%s.input_schema", path);
    if (!cJSON_IsObject(out->schema))
        return bad(err, field, "expected a JSON Schema");
    r->tool_count++;
    return arena_copy(r->arena, span_of(name), &out->name, err) &&
           arena_copy(r->arena, span_of(description), &out->description, err);
}

static bool choose_named(struct chat_request *r, const cJSON *json,
                         struct err *err) {
    const char *name = NULL;

    if (!json_get_string(json, "tool_choice", "name", &name, err)) return false;
    if (!name) return bad(err, "tool_choice.name", "missing");
    return chat_choose(r, span_of(name), "tool_choice.name", err);
}

static bool choose(struct chat_request *r, const cJSON *json, struct err *err) {
    const char *type = NULL;
    bool alone = !r->parallel_calls;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json))
        return bad(err, "tool_choice", "expected an object");
    if (!json_get_string(json, "tool_choice", "type", &type, err) ||
        !json_get_bool(json, "tool_choice", "disable_parallel_tool_use", &alone,
                       err))
        return false;
    r->parallel_calls = !alone;
    if (type && !strcmp(type, "tool")) return choose_named(r, json, err);
    if (type && !strcmp(type, "auto"))
        r->choice = CHOICE_AUTO;
    else if (type && !strcmp(type, "any"))
        r->choice = CHOICE_REQUIRED;
    else if (type && !strcmp(type, "none"))
        r->choice = CHOICE_NONE;
    else
        return bad(err, "tool_choice.type", "expected auto, any, tool or none");
    return true;
}

bool anthropic_tools(struct chat_request *out, const cJSON *body,
                     struct err *err) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "tools");
    const cJSON *json;
    char path[32];
    int count = cJSON_GetArraySize(list);

    if (list && !cJSON_IsNull(list)) {
        if (!cJSON_IsArray(list) || count > CHAT_TOOLS_MAX)
            return bad(err, "tools", "expected a list, at most 128 long");
        out->tools =
            arena_alloc(out->arena, (size_t)count, sizeof *out->tools, err);
        if (!out->tools) return false;
        cJSON_ArrayForEach(json, list) {
            (void)snprintf(path, sizeof path, "tools[%d]", out->tool_count);
            if (!tool_read(out, json, path, err)) return false;
        }
    }
    return choose(out, cJSON_GetObjectItemCaseSensitive(body, "tool_choice"),
                  err);
}
