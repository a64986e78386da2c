/* responses_items.c - a body of /v1/responses to a chat_request. */
#include <stdio.h>
#include <string.h>

#include "proxy/openai.h"
#include "proxy/responses.h"

static struct chat_message *add(struct openai_reader *p, enum chat_role role) {
    struct chat_message *m = &p->out->messages[p->out->message_count++];

    m->role = role;
    return m;
}

static const cJSON *get(const cJSON *json, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

static bool message(struct openai_reader *p, const cJSON *json,
                    const char *path) {
    const char *role = NULL;
    char field[ERR_FIELD_MAX];
    enum chat_role found;
    struct chat_message *m;

    if (!json_get_string(json, path, "role", &role, p->err)) return false;
    (void)snprintf(field, sizeof field, "%.80s.role", path);
    if (!role || !openai_role(role, &found) || found == CHAT_TOOL)
        return openai_bad(p, field,
                          "expected system, developer, user or assistant");
    m = add(p, found);
    (void)snprintf(field, sizeof field, "%.80s.content", path);
    return openai_content(p, get(json, "content"), field, &m->text) &&
           (m->text.at || openai_bad(p, field, "missing"));
}

/* Calls that follow a text, or one another, are of one answer. */
static bool call(struct openai_reader *p, const cJSON *json, const char *path) {
    struct chat_request *r = p->out;
    struct chat_message *m =
        r->message_count ? &r->messages[r->message_count - 1] : NULL;
    struct chat_tool_call *calls;
    const char *id = NULL;

    if (!json_get_string(json, path, "call_id", &id, p->err)) return false;
    if (!id) return openai_bad(p, path, "needs a call_id");
    if (!m || m->role != CHAT_ASSISTANT) m = add(p, CHAT_ASSISTANT);
    if (m->call_count == CHAT_TOOL_CALLS_MAX)
        return err_set_field(p->err, ERR_LIMIT, path,
                             "%s: more than %d calls together", path,
                             CHAT_TOOL_CALLS_MAX);
    /* Room for all at once: it does not grow. */
    if (!m->calls)
        m->calls =
            arena_alloc(r->arena, CHAT_TOOL_CALLS_MAX, sizeof *calls, p->err);
    if (!m->calls) return false;
    calls = &m->calls[m->call_count++];
    return openai_call(p, json, path, calls) &&
           arena_copy(r->arena, span_of(id), &calls->id, p->err);
}

static bool call_output(struct openai_reader *p, const cJSON *json,
                        const char *path) {
    const char *id = NULL;
    char field[ERR_FIELD_MAX];
    struct chat_message *m = add(p, CHAT_TOOL);

    if (!json_get_string(json, path, "call_id", &id, p->err)) return false;
    if (!id) return openai_bad(p, path, "needs a call_id");
    (void)snprintf(field, sizeof field, "%.80s.output", path);
    if (!openai_content(p, get(json, "output"), field, &m->text)) return false;
    if (!m->text.at) return openai_bad(p, field, "missing");
    return arena_copy(p->out->arena, span_of(id), &m->call_id, p->err);
}

static bool item(struct openai_reader *p, const cJSON *json, const char *path) {
    const char *type = "message";

    if (!cJSON_IsObject(json)) return openai_bad(p, path, "expected an object");
    if (!json_get_string(json, path, "type", &type, p->err)) return false;
    if (!strcmp(type, "message")) return message(p, json, path);
    if (!strcmp(type, "function_call")) return call(p, json, path);
    if (!strcmp(type, "function_call_output"))
        return call_output(p, json, path);
    /* What a model thought is shown to none. */
    if (!strcmp(type, "reasoning")) return true;
    return err_set_field(p->err, ERR_UNSUPPORTED, path,
                         "%s: items of the type \"%.40s\" are not supported",
                         path, type);
}

bool responses_items(struct openai_reader *p, const cJSON *list,
                     const char *name) {
    const cJSON *json;
    int index = 0;

    cJSON_ArrayForEach(json, list) {
        char path[48];

        (void)snprintf(path, sizeof path, "%s[%d]", name, index++);
        if (!item(p, json, path)) return false;
    }
    return true;
}

static bool input(struct openai_reader *p, const cJSON *body) {
    const cJSON *json = get(body, "input"),
                *context = get(body, RESPONSES_CONTEXT_KEY);
    struct chat_request *r = p->out;
    const char *instructions = NULL;
    int count = 2 + cJSON_GetArraySize(context) +
                (cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 0);

    if (!cJSON_IsString(json) && (!cJSON_IsArray(json) || !json->child))
        return openai_bad(p, "input", "expected a text or a list of items");
    if (count > CHAT_MESSAGES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "input",
                             "input: more than %d items with what came before",
                             CHAT_MESSAGES_MAX);
    r->messages =
        arena_alloc(r->arena, (size_t)count, sizeof *r->messages, p->err);
    if (!r->messages ||
        !json_get_string(body, "", "instructions", &instructions, p->err))
        return false;
    if (instructions && *instructions &&
        !arena_copy(r->arena, span_of(instructions), &add(p, CHAT_SYSTEM)->text,
                    p->err))
        return false;
    if (!responses_items(p, context, "previous_response_id")) return false;
    if (cJSON_IsArray(json)) {
        if (!responses_items(p, json, "input")) return false;
    } else if (!arena_copy(r->arena, span_of(json->valuestring),
                           &add(p, CHAT_USER)->text, p->err)) {
        return false;
    }
    return r->message_count > 0 || openai_bad(p, "input", "nothing to answer");
}

static bool tool(struct openai_reader *p, const cJSON *json, const char *path) {
    const char *type = NULL;

    if (!json_get_string(json, path, "type", &type, p->err)) return false;
    if (!type || strcmp(type, "function") != 0)
        return err_set_field(p->err, ERR_UNSUPPORTED, path,
                             "%s: only functions are supported", path);
    return openai_tool(p, json, path);
}

static bool tools(struct openai_reader *p, const cJSON *body) {
    const cJSON *list = get(body, "tools");
    const cJSON *choice = get(body, "tool_choice");
    const char *type = NULL;

    if (list && !cJSON_IsNull(list) &&
        !openai_tool_list(p, list, "tools", tool))
        return false;
    if (!cJSON_IsObject(choice)) return openai_tool_choice(p, body);
    if (!json_get_string(choice, "tool_choice", "type", &type, p->err))
        return false;
    if (!type || strcmp(type, "function") != 0)
        return err_set_field(p->err, ERR_UNSUPPORTED, "tool_choice",
                             "tool_choice: only functions are supported");
    return openai_tool_named(p, get(choice, "name"), "tool_choice.name");
}

static bool format(struct openai_reader *p, const cJSON *body) {
    const cJSON *text = get(body, "text");
    const cJSON *json = get(text, "format");

    if (text && !cJSON_IsNull(text) && !cJSON_IsObject(text))
        return openai_bad(p, "text", "expected an object");
    return openai_format(p, json, json, "text.format");
}

static bool unsupported(struct openai_reader *p, const cJSON *body) {
    static const char *const absent[] = {"background", "conversation", "prompt",
                                         "context_management", NULL};

    for (size_t i = 0; absent[i]; i++) {
        const cJSON *json = get(body, absent[i]);

        if (json && !cJSON_IsNull(json) && !cJSON_IsFalse(json))
            return err_set_field(p->err, ERR_UNSUPPORTED, absent[i],
                                 "%s: not supported", absent[i]);
    }
    return true;
}

bool responses_parse(const cJSON *body, struct chat_request *out,
                     struct err *err) {
    struct openai_reader p = {out, err};
    const char *model = NULL;
    bool store = true;
    int64_t most = 0;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err)) return false;
    if (!model || !*model) return openai_bad(&p, "model", "missing");
    if (!arena_copy(out->arena, span_of(model), &out->model, err) ||
        !input(&p, body) || !tools(&p, body) ||
        !json_get_bool(body, "", "parallel_tool_calls", &out->parallel_calls,
                       err) ||
        !format(&p, body) || !openai_sampling(&p, body) ||
        !json_get_int(body, "", "max_output_tokens", 1, CHAT_OUTPUT_TOKENS_MAX,
                      &most, err) ||
        !unsupported(&p, body) ||
        !json_get_bool(body, "", "store", &store, err) ||
        !json_get_bool(body, "", "stream", &out->stream, err))
        return false;
    if (most) out->max_tokens = (int)most;
    return true;
}
