/* anthropic_messages.c - the conversation of a body in Anthropic's shape
 * (shapes: the request types of Anthropic's own client). */
#include "proxy/anthropic.h"

#include <stdio.h>
#include <string.h>

enum { PATH_MAX_BYTES = 64 };

/* One turn of the body while its blocks are read. */
struct turn_reader {
    struct chat_request *out;
    struct err *err;
    enum chat_role role;
    struct bytes text;     /* of the message that is being put together */
    struct bytes thoughts; /* the same */
    struct chat_tool_call *calls;
    int call_count;
};

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* A string that must be there. */
static bool need_string(const cJSON *object, const char *path, const char *key,
                        const char **out, struct err *err) {
    char field[ERR_FIELD_MAX];

    *out = NULL;
    if (!json_get_string(object, path, key, out, err)) return false;
    if (*out) return true;
    (void)snprintf(field, sizeof field, "%.64s.%.24s", path, key);
    return bad(err, field, "missing");
}

static bool append(struct bytes *text, const char *more, struct err *err) {
    return (!text->size || bytes_append(text, "\n\n", 2, err)) &&
           bytes_append(text, more, strlen(more), err);
}

static bool type_of(const cJSON *block, const char *path, const char **out,
                    struct err *err) {
    if (!cJSON_IsObject(block)) return bad(err, path, "expected an object");
    return need_string(block, path, "type", out, err);
}

static bool not_text(const char *path, const char *type, struct err *err) {
    return err_set_field(err, ERR_UNSUPPORTED, path,
                         "%s: the model reads text only, not \"%.40s\"", path,
                         type);
}

/* A string, or blocks of text, which are joined by blank lines. */
static bool plain_text(const cJSON *json, const char *path, struct bytes *out,
                       struct err *err) {
    char field[ERR_FIELD_MAX];
    const char *type = NULL, *text = NULL;
    const cJSON *block;
    int index = 0;

    if (!json || cJSON_IsNull(json)) return true;
    if (cJSON_IsString(json)) return append(out, json->valuestring, err);
    if (!cJSON_IsArray(json))
        return bad(err, path, "expected a string or a list of blocks");
    cJSON_ArrayForEach(block, json) {
        (void)snprintf(field, sizeof field, "%.80s[%d]", path, index++);
        if (!type_of(block, field, &type, err)) return false;
        if (strcmp(type, "text") != 0) return not_text(field, type, err);
        if (!need_string(block, field, "text", &text, err) ||
            !append(out, text, err))
            return false;
    }
    return true;
}

/* ---- blocks ---- */

/* What was put together becomes a message, if it is anything. */
static bool flush(struct turn_reader *t) {
    struct chat_request *r = t->out;
    struct chat_message *m;

    if (!t->text.size && !t->thoughts.size && !t->call_count) return true;
    m = &r->messages[r->message_count++];
    m->role = t->role;
    m->calls = t->calls;
    m->call_count = t->call_count;
    if (!arena_copy(r->arena, span_bytes(&t->text), &m->text, t->err) ||
        !arena_copy(r->arena, span_bytes(&t->thoughts), &m->thoughts, t->err))
        return false;
    t->text.size = 0;
    t->thoughts.size = 0;
    t->call_count = 0;
    return true;
}

static bool tool_use(struct turn_reader *t, const cJSON *block,
                     const char *path) {
    struct chat_request *r = t->out;
    struct chat_tool_call *call = &t->calls[t->call_count];
    const cJSON *input = get(block, "input");
    const char *id, *name;
    char field[ERR_FIELD_MAX];
    struct bytes text = {0};
    bool ok;

    if (!need_string(block, path, "id", &id, t->err) ||
        !need_string(block, path, "name", &name, t->err))
        return false;
    (void)snprintf(field, sizeof field, "%.80s.input", path);
    if (!cJSON_IsObject(input)) return bad(t->err, field, "expected an object");
    ok = json_print(input, &text, t->err) &&
         arena_copy(r->arena, span_bytes(&text), &call->arguments, t->err) &&
         arena_copy(r->arena, span_of(id), &call->id, t->err) &&
         arena_copy(r->arena, span_of(name), &call->name, t->err);
    bytes_free(&text);
    if (ok) t->call_count++;
    return ok;
}

/* A message of its own; what the user said before it comes before it. */
static bool tool_result(struct turn_reader *t, const cJSON *block,
                        const char *path) {
    struct chat_request *r = t->out;
    struct chat_message *m;
    struct bytes text = {0};
    const char *id;
    char field[ERR_FIELD_MAX];
    bool is_error = false, ok;

    if (!need_string(block, path, "tool_use_id", &id, t->err) ||
        !json_get_bool(block, path, "is_error", &is_error, t->err) || !flush(t))
        return false;
    m = &r->messages[r->message_count++];
    m->role = CHAT_TOOL;
    (void)snprintf(field, sizeof field, "%.80s.content", path);
    /* As the loop says it of Corral's own tools. */
    ok = (!is_error || append(&text, "error:", t->err)) &&
         plain_text(get(block, "content"), field, &text, t->err) &&
         arena_copy(r->arena, span_bytes(&text), &m->text, t->err) &&
         arena_copy(r->arena, span_of(id), &m->call_id, t->err);
    bytes_free(&text);
    return ok;
}

static bool block_read(struct turn_reader *t, const cJSON *block,
                       const char *path) {
    bool assistant = t->role == CHAT_ASSISTANT;
    const char *type, *text;

    if (!type_of(block, path, &type, t->err)) return false;
    if (!strcmp(type, "text"))
        return need_string(block, path, "text", &text, t->err) &&
               append(&t->text, text, t->err);
    if (assistant && !strcmp(type, "thinking"))
        return need_string(block, path, "thinking", &text, t->err) &&
               append(&t->thoughts, text, t->err);
    /* Encrypted: for nobody but the server that wrote it. */
    if (assistant && !strcmp(type, "redacted_thinking")) return true;
    if (assistant && !strcmp(type, "tool_use")) return tool_use(t, block, path);
    if (t->role == CHAT_USER && !strcmp(type, "tool_result"))
        return tool_result(t, block, path);
    return not_text(path, type, t->err);
}

static bool blocks_read(struct turn_reader *t, const cJSON *list,
                        const char *path) {
    char field[ERR_FIELD_MAX];
    const cJSON *block;
    int count = cJSON_GetArraySize(list), index = 0;

    if (count == 0) return bad(t->err, path, "expected a block");
    if (t->role == CHAT_ASSISTANT) {
        if (count > CHAT_TOOL_CALLS_MAX)
            return err_set_field(t->err, ERR_LIMIT, path,
                                 "%s: more than %d blocks", path,
                                 CHAT_TOOL_CALLS_MAX);
        t->calls =
            arena_alloc(t->out->arena, (size_t)count, sizeof *t->calls, t->err);
        if (!t->calls) return false;
    }
    cJSON_ArrayForEach(block, list) {
        (void)snprintf(field, sizeof field, "%.80s[%d]", path, index++);
        if (!block_read(t, block, field)) return false;
    }
    return true;
}

/* ---- turns ---- */

static bool role_read(const cJSON *json, const char *path, enum chat_role *out,
                      struct err *err) {
    static const enum chat_role roles[] = {CHAT_USER, CHAT_ASSISTANT,
                                           CHAT_SYSTEM};
    const char *role;
    char field[ERR_FIELD_MAX];

    if (!need_string(json, path, "role", &role, err)) return false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(role, chat_role_name(roles[i]))) {
            *out = roles[i];
            return true;
        }
    (void)snprintf(field, sizeof field, "%.64s.role", path);
    return bad(err, field, "expected user, assistant or system");
}

static bool turn_read(struct chat_request *out, const cJSON *json,
                      const char *path, struct err *err) {
    struct turn_reader t = {.out = out, .err = err};
    const cJSON *content;
    char field[PATH_MAX_BYTES];
    int before = out->message_count;
    bool ok;

    if (!cJSON_IsObject(json)) return bad(err, path, "expected an object");
    if (!role_read(json, path, &t.role, err)) return false;
    content = get(json, "content");
    (void)snprintf(field, sizeof field, "%.40s.content", path);
    if (!cJSON_IsArray(content) && !cJSON_IsString(content))
        return bad(err, field, "expected a string or a list of blocks");
    ok = cJSON_IsArray(content) ? blocks_read(&t, content, field)
                                : append(&t.text, content->valuestring, err);
    ok = ok && flush(&t);
    /* An empty turn stays one: who spoke last matters. */
    if (ok && out->message_count == before)
        out->messages[out->message_count++].role = t.role;
    bytes_free(&t.text);
    bytes_free(&t.thoughts);
    return ok;
}

/* At most so many messages come out of a turn: its tool results, and the
 * texts before, between and after them. */
static int messages_of(const cJSON *json) {
    const cJSON *block, *type;
    int results = 0;

    cJSON_ArrayForEach(block, get(json, "content")) {
        type = get(block, "type");
        if (cJSON_IsString(type) && !strcmp(type->valuestring, "tool_result"))
            results++;
    }
    return 2 * results + 1;
}

static bool system_read(struct chat_request *out, const cJSON *body,
                        struct err *err) {
    struct chat_message *m = &out->messages[out->message_count];
    struct bytes text = {0};
    bool ok = plain_text(get(body, "system"), "system", &text, err) &&
              arena_copy(out->arena, span_bytes(&text), &m->text, err);

    m->role = CHAT_SYSTEM;
    if (ok && text.size) out->message_count++;
    bytes_free(&text);
    return ok;
}

bool anthropic_messages(struct chat_request *out, const cJSON *body,
                        struct err *err) {
    const cJSON *list = get(body, "messages"), *json;
    char path[PATH_MAX_BYTES];
    size_t most = 1; /* the system's */
    int index = 0;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
        return bad(err, "messages", "expected a list with a message");
    cJSON_ArrayForEach(json, list) most += (size_t)messages_of(json);
    if (most > CHAT_MESSAGES_MAX)
        return err_set_field(err, ERR_LIMIT, "messages",
                             "messages: more than %d", CHAT_MESSAGES_MAX);
    out->messages = arena_alloc(out->arena, most, sizeof *out->messages, err);
    if (!out->messages || !system_read(out, body, err)) return false;
    cJSON_ArrayForEach(json, list) {
        (void)snprintf(path, sizeof path, "messages[%d]", index++);
        if (!turn_read(out, json, path, err)) return false;
    }
    return true;
}
