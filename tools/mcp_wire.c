#include "tools/mcp_wire.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

enum { ID_TEXT_MAX = 256 };

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* ---- in ---- */

static int64_t own_id(const cJSON *id) {
    if (!cJSON_IsNumber(id) || id->valuedouble < 0 || id->valuedouble > 1e15 ||
        id->valuedouble != floor(id->valuedouble))
        return -1;
    return (int64_t)id->valuedouble;
}

struct mcp_incoming mcp_incoming_read(const cJSON *message) {
    const cJSON *id = get(message, "id");
    const cJSON *method = get(message, "method");
    struct mcp_incoming in = {.kind = MCP_NOISE, .id = -1, .id_node = id};

    if (cJSON_IsString(method)) {
        bool asks =
            cJSON_IsNumber(id) ||
            (cJSON_IsString(id) && strlen(id->valuestring) <= ID_TEXT_MAX);

        in.method = method->valuestring;
        in.body = get(message, "params");
        in.kind = asks ? MCP_REQUEST : id ? MCP_NOISE : MCP_NOTICE;
    } else if (cJSON_IsObject(get(message, "error"))) {
        in.kind = MCP_ERROR;
        in.id = own_id(id);
        in.body = get(message, "error");
    } else if (cJSON_IsObject(get(message, "result"))) {
        in.kind = MCP_ANSWER;
        in.id = own_id(id);
        in.body = get(message, "result");
    }
    return in;
}

cJSON *mcp_parse(struct span text, struct err *err) {
    cJSON *message = json_parse(text, err);

    if (!message || cJSON_IsObject(message)) return message;
    cJSON_Delete(message);
    (void)err_set(err, ERR_INPUT, "a message is a JSON object");
    return NULL;
}

/* One whole line. False with `err` for a broken message; *stop when the
 * receiver wants no more. */
static bool take_line(struct mcp_lines *lines, struct span line, bool *stop,
                      bool (*on_message)(void *user, const cJSON *message),
                      void *user, struct err *err) {
    cJSON *message;

    if (line.size && line.at[line.size - 1] == '\r') line.size--;
    if (!line.size) return true;
    if (*line.at != '{') {
        if (lines->noise++ < MCP_NOISE_LINES_MAX) return true;
        return err_set(err, ERR_LIMIT, "too many lines that are no messages");
    }
    message = mcp_parse(line, err);
    if (!message) return false;
    *stop = !on_message(user, message);
    cJSON_Delete(message);
    return true;
}

bool mcp_lines_feed(struct mcp_lines *lines, struct span in,
                    bool (*on_message)(void *user, const cJSON *message),
                    void *user, struct err *err) {
    bool stop = false;

    lines->line.limit = MCP_MESSAGE_BYTES_MAX;
    while (in.size && !stop) {
        const char *end = memchr(in.at, '\n', in.size);
        size_t size = end ? (size_t)(end - in.at) : in.size;

        if (!bytes_append(&lines->line, in.at, size, NULL))
            return err_set(err, ERR_LIMIT, "a message past %d bytes",
                           MCP_MESSAGE_BYTES_MAX);
        if (!end) break;
        in = span_slice(in, size + 1, in.size);
        if (!take_line(lines, span_bytes(&lines->line), &stop, on_message, user,
                       err))
            return false;
        /* A receiver that stops may have cleared us. */
        if (!stop) lines->line.size = 0;
    }
    return true;
}

void mcp_lines_clear(struct mcp_lines *lines) {
    bytes_free(&lines->line);
}

/* ---- out ---- */

static void add_meta(cJSON *params, bool modern, int64_t progress) {
    cJSON *meta = cJSON_AddObjectToObject(params, "_meta");

    if (progress >= 0)
        cJSON_AddNumberToObject(meta, "progressToken", (double)progress);
    if (modern) {
        cJSON *info;

        cJSON_AddStringToObject(meta, "io.modelcontextprotocol/protocolVersion",
                                MCP_MODERN);
        cJSON_AddObjectToObject(meta,
                                "io.modelcontextprotocol/clientCapabilities");
        info =
            cJSON_AddObjectToObject(meta, "io.modelcontextprotocol/clientInfo");
        cJSON_AddStringToObject(info, "name", "corral");
        cJSON_AddStringToObject(info, "version", CORRAL_VERSION);
    }
}

/* Consumes the message. What we write is bounded by what we were given. */
static void put(struct bytes *out, cJSON *message) {
    (void)!json_print(message, out, NULL);
    cJSON_Delete(message);
}

static cJSON *message_new(const char *method, cJSON *params) {
    cJSON *message = cJSON_CreateObject();

    cJSON_AddStringToObject(message, "jsonrpc", "2.0");
    if (method) cJSON_AddStringToObject(message, "method", method);
    if (params) cJSON_AddItemToObject(message, "params", params);
    return message;
}

void mcp_put_request(struct bytes *out, int64_t id, const char *method,
                     cJSON *params, bool modern, int64_t progress) {
    cJSON *message;

    if (!params) params = cJSON_CreateObject();
    if (modern || progress >= 0) add_meta(params, modern, progress);
    message = message_new(method, params);
    cJSON_AddNumberToObject(message, "id", (double)id);
    put(out, message);
}

void mcp_put_notice(struct bytes *out, const char *method, cJSON *params) {
    put(out, message_new(method, params));
}

void mcp_put_reply(struct bytes *out, const struct mcp_incoming *request) {
    cJSON *message = message_new(NULL, NULL);

    cJSON_AddItemToObject(message, "id",
                          cJSON_Duplicate(request->id_node, true));
    if (!strcmp(request->method, "ping")) {
        cJSON_AddObjectToObject(message, "result");
    } else {
        cJSON *error = cJSON_AddObjectToObject(message, "error");

        cJSON_AddNumberToObject(error, "code", -32601);
        cJSON_AddStringToObject(error, "message", "Method not found");
    }
    put(out, message);
}

/* ---- results ---- */

static void put_cut(struct bytes *out, struct span s) {
    if (s.size > out->limit - out->size) {
        s.size = out->limit - out->size;
        s.size = utf8_complete(s);
    }
    bytes_put(out, s);
}

static void put_field(struct bytes *out, const cJSON *item, const char *key) {
    const cJSON *field = get(item, key);

    if (cJSON_IsString(field)) put_cut(out, span_of(field->valuestring));
}

/* What a model cannot read is named. */
static void put_named(struct bytes *out, const char *kind, const cJSON *item) {
    static const char *const keys[] = {"name", "mimeType", "uri"};

    put_cut(out, span_of("["));
    put_cut(out, span_of(kind));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (cJSON_IsString(get(item, keys[i]))) {
            put_cut(out, span_of(" "));
            put_field(out, item, keys[i]);
        }
    put_cut(out, span_of("]"));
}

static void put_content(struct bytes *out, const cJSON *item) {
    const cJSON *type = get(item, "type");
    const char *kind = cJSON_IsString(type) ? type->valuestring : "";
    const cJSON *resource = get(item, "resource");

    if (out->size) put_cut(out, span_of("\n"));
    if (!strcmp(kind, "text"))
        put_field(out, item, "text");
    else if (!strcmp(kind, "resource") && cJSON_IsString(get(resource, "text")))
        put_field(out, resource, "text");
    else if (!strcmp(kind, "resource"))
        put_named(out, "resource", resource);
    else if (!strcmp(kind, "image") || !strcmp(kind, "audio") ||
             !strcmp(kind, "resource_link"))
        put_named(out, kind, item);
    else
        put_cut(out, span_of("[content of an unknown kind]"));
}

bool mcp_result_text(const cJSON *result, struct bytes *out) {
    const cJSON *type = get(result, "resultType");
    const cJSON *content = get(result, "content");
    const cJSON *structured = get(result, "structuredContent");
    const cJSON *item;

    if (cJSON_IsString(type) && strcmp(type->valuestring, "complete") != 0) {
        put_cut(out, span_of("the tool asks for more input, which cannot be "
                             "given"));
        return false;
    }
    if (cJSON_IsArray(content))
        cJSON_ArrayForEach(item, content) put_content(out, item);
    if (!out->size && structured) {
        struct bytes json = {.limit = MCP_MESSAGE_BYTES_MAX};

        if (json_print(structured, &json, NULL))
            put_cut(out, span_bytes(&json));
        bytes_free(&json);
    }
    return !cJSON_IsTrue(get(result, "isError"));
}
