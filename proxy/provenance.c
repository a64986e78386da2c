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

static bool put_line(const char *text, struct bytes *out, struct err *err) {
    return bytes_append(out, text, strlen(text), err) &&
           bytes_append(out, "\n", 1, err);
}

/* Strings below the keys `key`, a line each. */
static bool put_below(const cJSON *schema, const char *key, bool inside,
                      struct bytes *out, struct err *err) {
    const cJSON *child;

    if (inside && cJSON_IsString(schema) &&
        !put_line(schema->valuestring, out, err))
        return false;
    cJSON_ArrayForEach(child, schema) {
        bool here = child->string ? !strcmp(child->string, key)
                                  : inside && cJSON_IsArray(schema);

        if (!put_below(child, key, here, out, err)) return false;
    }
    return true;
}

static bool add_text(enum source source, const struct bytes *text,
                     struct arena *arena, struct source_text *list, int *count,
                     struct err *err) {
    struct source_text *s = &list[*count];

    if (!text->size) return true;
    *s = (struct source_text){.source = source};
    ++*count;
    return arena_copy(arena, span_bytes(text), &s->text, err);
}

/* What the called tool lists as its values, and what all say of themselves. */
static bool add_declarations(const struct chat_request *r, struct span name,
                             struct arena *arena, struct source_text *list,
                             int *count, struct err *err) {
    struct bytes values = {0}, words = {0};
    bool ok = true;

    for (int i = 0; ok && i < r->tool_count; i++) {
        const struct chat_tool *t = &r->tools[i];

        ok =
            bytes_append(&words, t->description.at, t->description.size, err) &&
            bytes_append(&words, "\n", 1, err) &&
            put_below(t->schema, "description", false, &words, err) &&
            (!span_equal(t->name, name) ||
             put_below(t->schema, "enum", false, &values, err));
    }
    ok = ok && add_text(SOURCE_SYSTEM, &values, arena, list, count, err) &&
         add_text(SOURCE_DECLARATION, &words, arena, list, count, err);
    bytes_free(&values);
    bytes_free(&words);
    return ok;
}

bool provenance_collect(const struct chat_request *r, struct span name,
                        struct arena *arena, struct source_text **out,
                        int *count, struct err *err) {
    static const enum source sources[] = {[CHAT_SYSTEM] = SOURCE_SYSTEM,
                                          [CHAT_USER] = SOURCE_USER,
                                          [CHAT_TOOL] = SOURCE_TOOL};
    struct source_text *list =
        arena_alloc(arena, (size_t)r->message_count + 2, sizeof *list, err);

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
    return add_declarations(r, name, arena, list, count, err);
}
