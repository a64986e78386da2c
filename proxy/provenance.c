#include "proxy/provenance.h"

#include <stdio.h>
#include <string.h>

bool provenance_check(const struct chat_request *r, struct err *err) {
    char field[ERR_FIELD_MAX];

    for (int i = 0; i < r->message_count; i++) {
        if (r->messages[i].role != CHAT_TOOL || chat_call_of(r, i)) continue;
        (void)snprintf(field, sizeof field, "messages[%d].tool_call_id", i);
        return err_set_field(err, ERR_INPUT, field,
                             "%s: no call before it has this id", field);
    }
    return true;
}

/* Strings of every `enum` below, a line each. */
static bool put_choices(const cJSON *schema, bool in_enum, struct bytes *out,
                        struct err *err) {
    const cJSON *child;

    if (in_enum && cJSON_IsString(schema) &&
        (!bytes_append(out, schema->valuestring, strlen(schema->valuestring),
                       err) ||
         !bytes_append(out, "\n", 1, err)))
        return false;
    cJSON_ArrayForEach(child, schema) {
        bool list = child->string && !strcmp(child->string, "enum");

        if (!put_choices(child, list || (in_enum && cJSON_IsArray(schema)), out,
                         err))
            return false;
    }
    return true;
}

static bool add_choices(const struct chat_request *r, struct span name,
                        struct arena *arena, struct source_text *list,
                        int *count, struct err *err) {
    struct bytes text = {0};
    bool ok = true;

    for (int i = 0; ok && i < r->tool_count; i++)
        if (span_equal(r->tools[i].name, name))
            ok = put_choices(r->tools[i].schema, false, &text, err);
    if (ok && text.size) {
        struct source_text *s = &list[(*count)++];

        *s = (struct source_text){.source = SOURCE_SYSTEM};
        ok = arena_copy(arena, span_bytes(&text), &s->text, err);
    }
    bytes_free(&text);
    return ok;
}

bool provenance_collect(const struct chat_request *r, struct span name,
                        struct arena *arena, struct source_text **out,
                        int *count, struct err *err) {
    static const enum source sources[] = {[CHAT_SYSTEM] = SOURCE_SYSTEM,
                                          [CHAT_USER] = SOURCE_USER,
                                          [CHAT_TOOL] = SOURCE_TOOL};
    struct source_text *list =
        arena_alloc(arena, (size_t)r->message_count + 1, sizeof *list, err);

    *count = 0;
    *out = list;
    if (!list) return false;
    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        const struct chat_tool_call *call;

        if (m->role == CHAT_ASSISTANT) continue;
        list[*count] = (struct source_text){sources[m->role], {0}, m->text};
        if (m->role == CHAT_TOOL && (call = chat_call_of(r, i)))
            list[*count].tool = call->name;
        ++*count;
    }
    return add_choices(r, name, arena, list, count, err);
}
