#include "proxy/fields.h"

#include <string.h>

static bool add(struct field *list, int *count, enum channel channel,
                struct span *text, bool fixed) {
    if (text->size == 0) return true;
    list[(*count)++] = (struct field){channel, *text, fixed ? NULL : text};
    return true;
}

bool fields_json_text(const cJSON *json, struct bytes *out, struct err *err) {
    const cJSON *child;

    if (json->string &&
        (!bytes_append(out, json->string, strlen(json->string), err) ||
         !bytes_append(out, "\n", 1, err)))
        return false;
    if (cJSON_IsString(json) &&
        (!bytes_append(out, json->valuestring, strlen(json->valuestring),
                       err) ||
         !bytes_append(out, "\n", 1, err)))
        return false;
    /* A card number may come as a number. */
    if (cJSON_IsNumber(json) &&
        (!json_print(json, out, err) || !bytes_append(out, "\n", 1, err)))
        return false;
    cJSON_ArrayForEach(child, json) {
        if (!fields_json_text(child, out, err)) return false;
    }
    return true;
}

bool fields_call_text(const struct chat_tool_call *call, struct bytes *out,
                      struct err *err) {
    const cJSON *json = json_read(call->arguments, err);
    bool ok = json && bytes_append(out, call->name.at, call->name.size, err) &&
              bytes_append(out, "\n", 1, err) &&
              fields_json_text(json, out, err);

    json_free(json);
    return ok;
}

static bool schema_text(struct chat_request *r, const cJSON *schema,
                        struct span *out, struct err *err) {
    struct bytes text = {0};
    bool ok = fields_json_text(schema, &text, err) &&
              arena_copy(r->arena, span_bytes(&text), out, err);

    bytes_free(&text);
    return ok;
}

static bool call_text(struct chat_request *r, const struct chat_tool_call *c,
                      struct span *out, struct err *err) {
    struct bytes text = {0};
    bool ok = fields_call_text(c, &text, err) &&
              arena_copy(r->arena, span_bytes(&text), out, err);

    bytes_free(&text);
    return ok;
}

static bool add_message(struct chat_request *r, struct chat_message *m,
                        struct field *list, int *count, struct err *err) {
    struct span text;

    add(list, count, m->role == CHAT_TOOL ? CHANNEL_TOOL_RESULT : CHANNEL_INPUT,
        &m->text, false);
    add(list, count, CHANNEL_INPUT, &m->thoughts, false);
    add(list, count, CHANNEL_INPUT, &m->call_id, true);
    for (int i = 0; i < m->call_count; i++) {
        if (!call_text(r, &m->calls[i], &text, err)) return false;
        add(list, count, CHANNEL_TOOL_CALL, &text, true);
        add(list, count, CHANNEL_INPUT, &m->calls[i].id, true);
    }
    return true;
}

static bool add_tool(struct chat_request *r, struct chat_tool *t,
                     struct field *list, int *count, struct err *err) {
    struct span text;

    add(list, count, CHANNEL_INPUT, &t->name, true);
    add(list, count, CHANNEL_INPUT, &t->description, false);
    if (!schema_text(r, t->schema, &text, err)) return false;
    add(list, count, CHANNEL_INPUT, &text, true);
    return true;
}

bool fields_collect(struct chat_request *r, struct field **out, int *count,
                    struct err *err) {
    size_t most = 3 * (size_t)r->message_count + 3 * (size_t)r->tool_count +
                  (size_t)r->stop_count + (size_t)r->extra_count + 2;
    struct field *list;
    struct span text;

    for (int i = 0; i < r->message_count; i++)
        most += 2 * (size_t)r->messages[i].call_count;
    list = arena_alloc(r->arena, most, sizeof *list, err);
    if (!list) return false;
    *count = 0;
    for (int i = 0; i < r->message_count; i++)
        if (!add_message(r, &r->messages[i], list, count, err)) return false;
    /* Corral's own tools are the operator's, not the client's. */
    for (int i = 0; i < r->tool_count; i++)
        if (!r->tools[i].server && !add_tool(r, &r->tools[i], list, count, err))
            return false;
    for (int i = 0; i < r->stop_count; i++)
        add(list, count, CHANNEL_INPUT, &r->stops[i], false);
    if (r->format_schema) {
        if (!schema_text(r, r->format_schema, &text, err)) return false;
        add(list, count, CHANNEL_INPUT, &text, true);
    }
    for (int i = 0; i < r->extra_count; i++) {
        if (!schema_text(r, r->extras[i], &text, err)) return false;
        add(list, count, CHANNEL_INPUT, &text, true);
    }
    /* An upstream may be told it as the client wrote it. */
    add(list, count, CHANNEL_INPUT, &r->model, true);
    *out = list;
    return true;
}

bool fields_redact(struct field *fields, int count, const struct verdict *v,
                   struct arena *arena, struct err *err) {
    for (int i = 0; i < count; i++) {
        struct field *f = &fields[i];
        struct bytes text = {0};
        bool ok = verdict_redact(v, i, f->text, &text, err);

        if (ok && !span_equal(span_bytes(&text), f->text))
            ok = f->slot ? arena_copy(arena, span_bytes(&text), f->slot, err)
                         : err_set(err, ERR_DENIED,
                                   "a field that cannot be redacted holds what "
                                   "the policy redacts");
        bytes_free(&text);
        if (!ok) return false;
    }
    return true;
}
