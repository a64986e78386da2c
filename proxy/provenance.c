#include "proxy/provenance.h"

#include <stdio.h>
#include <string.h>

#include "agent/summary.h"

enum { SUMMARY_SOURCES_MAX = 512 };

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

/* A summary is what the tools said whose results it was made of. There is one
 * in a conversation of ours; whoever writes more of them is heard to a limit.
 */
static bool add_summarised(const struct chat_tool_call *call, struct span text,
                           struct arena *arena, struct source_text *list,
                           int *count, int *room, struct err *err) {
    struct span *names = NULL;
    int more = 0;

    if (!summary_sources(call, arena, &names, &more, err)) return false;
    if (more > *room)
        return err_set_field(err, ERR_LIMIT, "messages",
                             "messages: summaries of more than %d tools",
                             SUMMARY_SOURCES_MAX);
    *room -= more;
    for (int i = 0; i < more; i++)
        list[(*count)++] = (struct source_text){SOURCE_TOOL, names[i], text};
    return true;
}

bool provenance_collect(const struct chat_request *r, struct span name,
                        struct arena *arena, struct source_text **out,
                        int *count, struct err *err) {
    static const enum source sources[] = {[CHAT_SYSTEM] = SOURCE_SYSTEM,
                                          [CHAT_USER] = SOURCE_USER,
                                          [CHAT_TOOL] = SOURCE_TOOL};
    int room = SUMMARY_SOURCES_MAX;
    struct source_text *list =
        arena_alloc(arena, (size_t)r->message_count + SUMMARY_SOURCES_MAX + 2,
                    sizeof *list, err);

    *count = 0;
    *out = list;
    if (!list) return false;
    for (int i = 0; i < r->message_count; i++) {
        const struct chat_message *m = &r->messages[i];
        const struct chat_tool_call *call = NULL;

        if (m->role == CHAT_ASSISTANT) continue;
        list[*count] = (struct source_text){sources[m->role], {0}, m->text};
        if (m->role == CHAT_TOOL && (call = chat_call_of(r, i)))
            list[*count].tool = call->name;
        ++*count;
        if (m->role == CHAT_TOOL && call &&
            !add_summarised(call, m->text, arena, list, count, &room, err))
            return false;
    }
    return add_declarations(r, name, arena, list, count, err);
}
