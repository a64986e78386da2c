/* ollama_messages.c - the conversation of a body in Ollama's shape (shapes: the
 * types of Ollama's own Python client and its API's description). */
#include "proxy/ollama.h"

#include <stdio.h>
#include <string.h>

struct reader {
    struct chat_request *out;
    struct err *err;
    /* The last message with calls, which results answer, and which of them
     * have been. */
    const struct chat_message *asked;
    bool answered[CHAT_TOOL_CALLS_MAX];
    int calls; /* so far */
};

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool copy(struct reader *p, const char *text, struct span *out) {
    return arena_copy(p->out->arena, span_of(text), out, p->err);
}

static bool no_images(const cJSON *json, const char *path, struct err *err) {
    char field[ERR_FIELD_MAX];
    const cJSON *images = get(json, "images");

    if (!images || cJSON_IsNull(images) ||
        (cJSON_IsArray(images) && cJSON_GetArraySize(images) == 0))
        return true;
    (void)snprintf(field, sizeof field, "%.40s%simages", path,
                   *path ? "." : "");
    return err_set_field(err, ERR_UNSUPPORTED, field,
                         "%s: the model reads text only", field);
}

/* ---- calls and what answers them ---- */

static bool call_id(struct reader *p, const char *id, struct span *out) {
    char own[24];

    (void)snprintf(own, sizeof own, "call_%d", p->calls++);
    return copy(p, id && *id ? id : own, out);
}

static bool call_read(struct reader *p, const cJSON *json, const char *path,
                      struct chat_tool_call *out) {
    const cJSON *function = get(json, "function");
    const cJSON *arguments = get(function, "arguments");
    const char *id = NULL, *name = NULL;
    char field[ERR_FIELD_MAX];
    struct bytes text = {0};
    bool ok;

    (void)snprintf(field, sizeof field, "%.64s.function", path);
    if (!cJSON_IsObject(function)) return bad(p->err, field, "missing");
    if (!json_get_string(json, path, "id", &id, p->err) ||
        !json_get_string(function, field, "name", &name, p->err))
        return false;
    (void)snprintf(field, sizeof field, "%.64s.function.name", path);
    if (!name) return bad(p->err, field, "missing");
    (void)snprintf(field, sizeof field, "%.64s.function.arguments", path);
    if (!cJSON_IsObject(arguments))
        return bad(p->err, field, "expected an object");
    ok =
        json_print(arguments, &text, p->err) &&
        arena_copy(p->out->arena, span_bytes(&text), &out->arguments, p->err) &&
        copy(p, name, &out->name) && call_id(p, id, &out->id);
    bytes_free(&text);
    return ok;
}

static bool calls_read(struct reader *p, const cJSON *list, const char *path,
                       struct chat_message *m) {
    char field[ERR_FIELD_MAX];
    const cJSON *json;
    int count = cJSON_GetArraySize(list);

    if (!list || cJSON_IsNull(list) || (cJSON_IsArray(list) && !count))
        return true;
    if (!cJSON_IsArray(list) || count > CHAT_TOOL_CALLS_MAX)
        return bad(p->err, path, "expected a list, at most 128 long");
    m->calls =
        arena_alloc(p->out->arena, (size_t)count, sizeof *m->calls, p->err);
    if (!m->calls) return false;
    cJSON_ArrayForEach(json, list) {
        (void)snprintf(field, sizeof field, "%.60s[%d]", path, m->call_count);
        if (!call_read(p, json, field, &m->calls[m->call_count])) return false;
        m->call_count++;
    }
    p->asked = m;
    memset(p->answered, 0, sizeof p->answered);
    return true;
}

/* The first call that waits for its result, of `name` if that is told. */
static const struct chat_tool_call *answer(struct reader *p, const char *name) {
    int count = p->asked ? p->asked->call_count : 0;

    for (int i = 0; i < count; i++) {
        const struct chat_tool_call *call = &p->asked->calls[i];

        if (p->answered[i] || (name && !span_is(call->name, name))) continue;
        p->answered[i] = true;
        return call;
    }
    return NULL;
}

static bool result_read(struct reader *p, const cJSON *json, const char *path,
                        struct chat_message *m) {
    const struct chat_tool_call *call;
    const char *id = NULL, *name = NULL;

    /* The second name is what old clients send. */
    if (!json_get_string(json, path, "tool_call_id", &id, p->err) ||
        !json_get_string(json, path, "name", &name, p->err) ||
        !json_get_string(json, path, "tool_name", &name, p->err))
        return false;
    if (id && *id) return copy(p, id, &m->call_id);
    call = answer(p, name);
    if (!call) return bad(p->err, path, "no call waits for this result");
    m->call_id = call->id;
    return true;
}

/* ---- messages ---- */

static bool role_read(const cJSON *json, const char *path, enum chat_role *out,
                      struct err *err) {
    static const enum chat_role roles[] = {CHAT_SYSTEM, CHAT_USER,
                                           CHAT_ASSISTANT, CHAT_TOOL};
    const char *role = NULL;
    char field[ERR_FIELD_MAX];

    if (!json_get_string(json, path, "role", &role, err)) return false;
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(role, chat_role_name(roles[i]))) {
            *out = roles[i];
            return true;
        }
    (void)snprintf(field, sizeof field, "%.64s.role", path);
    return bad(err, field, "expected system, user, assistant or tool");
}

static bool message_read(struct reader *p, const cJSON *json, const char *path,
                         struct chat_message *m) {
    const char *content = "", *thinking = "";
    char field[ERR_FIELD_MAX];

    if (!cJSON_IsObject(json)) return bad(p->err, path, "expected an object");
    if (!role_read(json, path, &m->role, p->err) ||
        !json_get_string(json, path, "content", &content, p->err) ||
        !json_get_string(json, path, "thinking", &thinking, p->err) ||
        !no_images(json, path, p->err) || !copy(p, content, &m->text))
        return false;
    if (m->role == CHAT_TOOL) return result_read(p, json, path, m);
    if (m->role != CHAT_ASSISTANT) return true;
    (void)snprintf(field, sizeof field, "%.40s.tool_calls", path);
    return copy(p, thinking, &m->thoughts) &&
           calls_read(p, get(json, "tool_calls"), field, m);
}

bool ollama_messages(struct chat_request *out, const cJSON *body,
                     struct err *err) {
    struct reader p = {.out = out, .err = err};
    const cJSON *list = get(body, "messages"), *json;
    int count = cJSON_GetArraySize(list);
    char path[32];

    if (!cJSON_IsArray(list) || count == 0)
        return bad(err, "messages", "expected a list with a message");
    if (count > CHAT_MESSAGES_MAX)
        return err_set_field(err, ERR_LIMIT, "messages",
                             "messages: more than %d", CHAT_MESSAGES_MAX);
    out->messages =
        arena_alloc(out->arena, (size_t)count, sizeof *out->messages, err);
    if (!out->messages) return false;
    cJSON_ArrayForEach(json, list) {
        (void)snprintf(path, sizeof path, "messages[%d]", out->message_count);
        if (!message_read(&p, json, path, &out->messages[out->message_count]))
            return false;
        out->message_count++;
    }
    return true;
}

/* Fields of /api/generate that would change what the model reads in a way that
 * is not done here. */
static bool no_raw(const cJSON *body, struct err *err) {
    static const char *const absent[] = {"suffix", "template", "context", NULL};
    bool raw = false;

    if (!json_get_bool(body, "", "raw", &raw, err)) return false;
    if (raw)
        return err_set_field(err, ERR_UNSUPPORTED, "raw",
                             "raw: not supported, the prompt is always put "
                             "into the model's own form");
    for (size_t i = 0; absent[i]; i++) {
        const cJSON *json = get(body, absent[i]);
        bool empty = !json || cJSON_IsNull(json) ||
                     (cJSON_IsString(json) && !*json->valuestring) ||
                     (cJSON_IsArray(json) && !cJSON_GetArraySize(json));

        if (!empty)
            return err_set_field(err, ERR_UNSUPPORTED, absent[i],
                                 "%s: not supported", absent[i]);
    }
    return true;
}

bool ollama_prompt(struct chat_request *out, const cJSON *body,
                   struct err *err) {
    const char *system = NULL, *prompt = NULL;
    struct chat_message *m;

    if (!no_raw(body, err) || !no_images(body, "", err) ||
        !json_get_string(body, "", "system", &system, err) ||
        !json_get_string(body, "", "prompt", &prompt, err))
        return false;
    if (!prompt || !*prompt) return bad(err, "prompt", "missing");
    out->messages = arena_alloc(out->arena, 2, sizeof *out->messages, err);
    if (!out->messages) return false;
    if (system && *system) {
        m = &out->messages[out->message_count++];
        m->role = CHAT_SYSTEM;
        if (!arena_copy(out->arena, span_of(system), &m->text, err))
            return false;
    }
    m = &out->messages[out->message_count++];
    m->role = CHAT_USER;
    return arena_copy(out->arena, span_of(prompt), &m->text, err);
}
