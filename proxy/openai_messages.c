/* openai_messages.c - the conversation and the tools of a body in OpenAI's
 * shape. */
#include "proxy/openai.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_PATH_SIZE = 32 };

static bool copy(struct openai_reader *p, const char *text, struct span *out) {
    return arena_copy(p->out->arena, span_of(text), out, p->err);
}

static bool part_text(struct openai_reader *p, const cJSON *part,
                      const char *field, struct bytes *text) {
    const cJSON *type, *value;

    if (!cJSON_IsObject(part))
        return openai_bad(p, field, "expected an object");
    type = json_field(part, "type");
    if (!cJSON_IsString(type))
        return openai_bad(p, field, "a part needs a \"type\"");
    if (!strcmp(type->valuestring, "text") ||
        !strcmp(type->valuestring, "input_text") ||
        !strcmp(type->valuestring, "output_text")) {
        value = json_field(part, "text");
    } else if (!strcmp(type->valuestring, "refusal")) {
        value = json_field(part, "refusal");
    } else {
        return err_set_field(p->err, ERR_UNSUPPORTED, field,
                             "%s: the model reads text only, not \"%.40s\"",
                             field, type->valuestring);
    }
    if (!cJSON_IsString(value)) return openai_bad(p, field, "expected a text");
    if (text->size && !bytes_append(text, "\n\n", 2, p->err)) return false;
    return bytes_append(text, value->valuestring, strlen(value->valuestring),
                        p->err);
}

bool openai_content(struct openai_reader *p, const cJSON *json,
                    const char *path, struct span *out) {
    struct bytes text = {0};
    char field[ERR_FIELD_MAX];
    const cJSON *part;
    int index = 0;
    bool ok = true;

    if (!json || cJSON_IsNull(json)) return true;
    if (cJSON_IsString(json)) return copy(p, json->valuestring, out);
    if (!cJSON_IsArray(json))
        return openai_bad(p, path, "expected a string or a list of parts");
    cJSON_ArrayForEach(part, json) {
        (void)snprintf(field, sizeof field, "%.80s[%d]", path, index++);
        ok = part_text(p, part, field, &text);
        if (!ok) break;
    }
    ok = ok && arena_copy(p->out->arena, span_bytes(&text), out, p->err);
    bytes_free(&text);
    return ok;
}

bool openai_call(struct openai_reader *p, const cJSON *json, const char *path,
                 struct chat_tool_call *out) {
    const char *name = NULL, *arguments = NULL;
    char field[ERR_FIELD_MAX];
    struct err inner = {0};
    const cJSON *parsed;

    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    if (!json_get_string(json, path, "name", &name, p->err) ||
        !json_get_string(json, path, "arguments", &arguments, p->err))
        return false;
    if (!name || !arguments)
        return openai_bad(p, path, "needs a name and arguments");
    /* The model is shown the arguments as JSON; what is not JSON could pretend
     * to be something else. An empty text is what some clients send for {}. */
    if (!*arguments) arguments = "{}";
    parsed = json_read(span_of(arguments), &inner);
    if (!parsed) {
        (void)snprintf(field, sizeof field, "%.80s.arguments", path);
        return openai_bad(p, field, inner.text);
    }
    json_free(parsed);
    return copy(p, name, &out->name) && copy(p, arguments, &out->arguments);
}

static bool tool_call(struct openai_reader *p, const cJSON *json,
                      const char *path, struct chat_tool_call *out) {
    char field[ERR_FIELD_MAX];
    const char *id = NULL;

    if (!json_get_string(json, path, "id", &id, p->err)) return false;
    if (!id) return openai_bad(p, path, "needs an id");
    (void)snprintf(field, sizeof field, "%.80s.function", path);
    return openai_call(p, json_field(json, "function"), field, out) &&
           copy(p, id, &out->id);
}

static bool tool_calls(struct openai_reader *p, const cJSON *json,
                       const char *path, struct chat_message *m) {
    const cJSON *call;
    int count;

    if (!json || cJSON_IsNull(json)) return true;
    count = cJSON_GetArraySize(json);
    if (!cJSON_IsArray(json) || count > CHAT_TOOL_CALLS_MAX)
        return openai_bad(p, path, "expected a list, at most 128 long");
    m->calls =
        arena_alloc(p->out->arena, (size_t)count, sizeof *m->calls, p->err);
    if (!m->calls) return false;
    cJSON_ArrayForEach(call, json) {
        char field[ERR_FIELD_MAX];

        (void)snprintf(field, sizeof field, "%.80s[%d]", path, m->call_count);
        if (!tool_call(p, call, field, &m->calls[m->call_count])) return false;
        m->call_count++;
    }
    return true;
}

/* The older form: one call, without an id. Its function's name serves as one.
 */
static bool function_call(struct openai_reader *p, const cJSON *json,
                          const char *path, struct chat_message *m) {
    if (!json || cJSON_IsNull(json)) return true;
    if (m->call_count)
        return openai_bad(p, path, "not together with tool_calls");
    m->calls = arena_alloc(p->out->arena, 1, sizeof *m->calls, p->err);
    if (!m->calls || !openai_call(p, json, path, m->calls)) return false;
    m->calls->id = m->calls->name;
    m->call_count = 1;
    return true;
}

bool openai_role(const char *name, enum chat_role *out) {
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {{"system", CHAT_SYSTEM}, {"developer", CHAT_SYSTEM},
                 {"user", CHAT_USER},     {"assistant", CHAT_ASSISTANT},
                 {"tool", CHAT_TOOL},     {"function", CHAT_TOOL}};

    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(roles[i].name, name) != 0) continue;
        *out = roles[i].role;
        return true;
    }
    return false;
}

static bool bad_key(struct openai_reader *p, const char *path, const char *key,
                    const char *reason) {
    char field[ERR_FIELD_MAX];

    (void)snprintf(field, sizeof field, "%s.%s", path, key);
    return openai_bad(p, field, reason);
}

/* A field's place is spelled out only where something may say it. */
static bool content(struct openai_reader *p, const cJSON *json,
                    const char *path, struct chat_message *m) {
    const cJSON *text = json_field(json, "content");
    char field[ERR_FIELD_MAX];

    if (cJSON_IsString(text)) return copy(p, text->valuestring, &m->text);
    (void)snprintf(field, sizeof field, "%s.content", path);
    return openai_content(p, text, field, &m->text);
}

static bool calls(struct openai_reader *p, const cJSON *json, const char *path,
                  struct chat_message *m) {
    const cJSON *list = json_field(json, "tool_calls");
    const cJSON *one = json_field(json, "function_call");
    char field[ERR_FIELD_MAX];

    if (!list && !one) return true;
    (void)snprintf(field, sizeof field, "%s.tool_calls", path);
    if (!tool_calls(p, list, field, m)) return false;
    (void)snprintf(field, sizeof field, "%s.function_call", path);
    return function_call(p, one, field, m);
}

static bool message(struct openai_reader *p, const cJSON *json,
                    const char *path, struct chat_message *m) {
    const char *role = NULL, *call_id = NULL, *key;

    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    if (!json_get_string(json, path, "role", &role, p->err)) return false;
    if (!role) return bad_key(p, path, "role", "missing");
    if (!openai_role(role, &m->role))
        return bad_key(p, path, "role",
                       "expected system, developer, user, assistant, tool or "
                       "function");
    if (!content(p, json, path, m)) return false;
    if (m->role == CHAT_ASSISTANT && !calls(p, json, path, m)) return false;
    if (m->role != CHAT_TOOL)
        return m->text.at || m->call_count ||
               bad_key(p, path, "content", "missing");
    key = strcmp(role, "function") ? "tool_call_id" : "name";
    if (!json_get_string(json, path, key, &call_id, p->err)) return false;
    if (!call_id) return bad_key(p, path, key, "missing");
    return copy(p, call_id, &m->call_id);
}

/* For errors; a snprintf() for each message would be felt. */
static void message_path(int index, char out[MESSAGE_PATH_SIZE]) {
    static const char head[] = "messages[";
    char room[BYTES_DIGITS_SIZE];
    struct span digits = bytes_digits(index, room);

    memcpy(out, head, sizeof head - 1);
    memcpy(out + sizeof head - 1, digits.at, digits.size);
    memcpy(out + sizeof head - 1 + digits.size, "]", 2);
}

bool openai_messages(struct openai_reader *p, const cJSON *body) {
    const cJSON *list = json_field(body, "messages");
    struct chat_request *r = p->out;
    const cJSON *json;
    int count = cJSON_GetArraySize(list);

    if (!cJSON_IsArray(list) || count == 0)
        return openai_bad(p, "messages", "expected a list with a message");
    if (count > CHAT_MESSAGES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "messages",
                             "messages: more than %d", CHAT_MESSAGES_MAX);
    r->messages =
        arena_alloc(r->arena, (size_t)count, sizeof *r->messages, p->err);
    if (!r->messages) return false;
    cJSON_ArrayForEach(json, list) {
        char path[MESSAGE_PATH_SIZE];

        message_path(r->message_count, path);
        if (!message(p, json, path, &r->messages[r->message_count]))
            return false;
        r->message_count++;
    }
    return true;
}

static bool tool_name_valid(const char *name) {
    size_t size = strlen(name);

    return size >= 1 && size <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-") == size;
}

bool openai_tool(struct openai_reader *p, const cJSON *json, const char *path) {
    struct chat_tool *out = &p->out->tools[p->out->tool_count];
    const char *name = NULL, *description = "";
    char field[ERR_FIELD_MAX];

    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    if (!json_get_string(json, path, "name", &name, p->err) ||
        !json_get_string(json, path, "description", &description, p->err))
        return false;
    (void)snprintf(field, sizeof field, "%.80s.name", path);
    if (!name || !tool_name_valid(name))
        return openai_bad(p, field, "expected 1 to 64 of a-z A-Z 0-9 _ -");
    for (const struct chat_tool *t = p->out->tools; t < out; t++)
        if (span_is(t->name, name)) return openai_bad(p, field, "used twice");
    out->schema = json_field(json, "parameters");
    if (!out->schema || cJSON_IsNull(out->schema)) {
        static cJSON none = {.type = cJSON_Object};

        out->schema = &none; /* a function without parameters: any object */
    } else if (!cJSON_IsObject(out->schema)) {
        (void)snprintf(field, sizeof field, "%.80s.parameters", path);
        return openai_bad(p, field, "expected a JSON Schema");
    }
    p->out->tool_count++;
    return copy(p, name, &out->name) && copy(p, description, &out->description);
}

/* {"type": "function", "function": {...}} */
static bool tool(struct openai_reader *p, const cJSON *json, const char *path) {
    const char *type = NULL;
    char field[ERR_FIELD_MAX];

    if (!json_get_string(json, path, "type", &type, p->err)) return false;
    (void)snprintf(field, sizeof field, "%.80s.type", path);
    if (!type || strcmp(type, "function") != 0)
        return openai_bad(p, field, "expected \"function\"");
    (void)snprintf(field, sizeof field, "%.80s.function", path);
    return openai_tool(p, json_field(json, "function"), field);
}

bool openai_tool_list(struct openai_reader *p, const cJSON *list,
                      const char *path,
                      bool (*read)(struct openai_reader *p, const cJSON *json,
                                   const char *path)) {
    struct chat_request *r = p->out;
    const cJSON *json;
    int count = cJSON_GetArraySize(list);

    if (!cJSON_IsArray(list) || count > CHAT_TOOLS_MAX)
        return openai_bad(p, path, "expected a list, at most 128 long");
    r->tools = arena_alloc(r->arena, (size_t)count, sizeof *r->tools, p->err);
    if (!r->tools) return false;
    cJSON_ArrayForEach(json, list) {
        char field[32];

        (void)snprintf(field, sizeof field, "%.16s[%d]", path, r->tool_count);
        if (!read(p, json, field)) return false;
    }
    return true;
}

bool openai_tools(struct openai_reader *p, const cJSON *body) {
    const cJSON *list = json_field(body, "tools");
    const cJSON *functions = json_field(body, "functions");

    if (!functions || cJSON_IsNull(functions))
        return !list || cJSON_IsNull(list) ||
               openai_tool_list(p, list, "tools", tool);
    if (list && !cJSON_IsNull(list))
        return openai_bad(p, "functions", "not together with tools");
    /* The older form knows one call at a time. */
    p->out->legacy_calls = true;
    p->out->parallel_calls = false;
    return openai_tool_list(p, functions, "functions", openai_tool);
}

bool openai_tool_named(struct openai_reader *p, const cJSON *name,
                       const char *path) {
    if (!cJSON_IsString(name))
        return openai_bad(p, path, "needs a function's name");
    return chat_choose(p->out, span_of(name->valuestring), path, p->err);
}

static bool choice_word(struct openai_reader *p, const char *word,
                        const char *path) {
    if (!strcmp(word, "auto"))
        p->out->choice = CHOICE_AUTO;
    else if (!strcmp(word, "none"))
        p->out->choice = CHOICE_NONE;
    else if (!strcmp(word, "required"))
        p->out->choice = CHOICE_REQUIRED;
    else
        return openai_bad(p, path,
                          "expected auto, none, required or a function");
    return true;
}

bool openai_tool_choice(struct openai_reader *p, const cJSON *body) {
    bool legacy = p->out->legacy_calls;
    const char *key = legacy ? "function_call" : "tool_choice";
    const cJSON *json = json_field(body, key);

    if (!json || cJSON_IsNull(json)) return true;
    if (cJSON_IsString(json)) return choice_word(p, json->valuestring, key);
    if (legacy)
        return openai_tool_named(p, json_field(json, "name"),
                                 "function_call.name");
    json = json_field(json, "function");
    return openai_tool_named(p, json_field(json, "name"),
                             "tool_choice.function.name");
}
