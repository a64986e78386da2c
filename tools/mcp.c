/* mcp.c - the definitions of a server's tools, from the list to the registry
 * and on watch afterwards. What is spoken is in mcp_client.c, the options are
 * read in mcp_options.c. */
#include "tools/mcp.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "tools/mcp_client.h"
#include "tools/mcp_definition.h"
#include "tools/mcp_options.h"
#include "tools/mcp_pins.h"

enum { REMOTE_NAME_MAX = 256 };

struct mcp_tool {
    struct tool tool; /* first, so that run() can cast back */
    const struct mcp *owner;
    char *remote; /* its name over there */
    char *name;
    char *description;
    char *schema;
    char *text; /* to be judged; NULL: too long */
    struct tool_said said;
    char hash[HASH_HEX_SIZE];
    const char *why; /* it cannot be used now; NULL: it can */
};

struct mcp {
    enum mcp_state state;
    struct err failure;
    uv_loop_t *loop;
    struct mcp_options o;
    struct mcp_client *client;
    cJSON *list; /* the first one, until the tools are made of it */
    struct mcp_tool *tools[MCP_TOOLS_MAX];
    int tool_count;
};

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static void warn(const struct mcp *m, const char *event, const char *tool,
                 const char *hash, const char *reason) {
    char quoted_tool[3 * TOOL_NAME_MAX], quoted[ERR_TEXT_MAX];

    log_event(LOG_WARN, event, "server=%s tool=%s sha256=%s reason=%s",
              m->o.name, log_quote(tool, quoted_tool, sizeof quoted_tool),
              *hash ? hash : "none", log_quote(reason, quoted, sizeof quoted));
}

/* ---- calls ---- */

static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const struct mcp_tool *t = (const struct mcp_tool *)tool;

    (void)context;
    if (!t->why)
        return mcp_client_call(t->owner->client, t->remote, arguments, done,
                               user);
    done(user, false, span_of(t->why));
    return NULL;
}

/* ---- from a definition to a tool ---- */

static void tool_free(struct mcp_tool *t) {
    free(t->remote);
    free(t->name);
    free(t->description);
    free(t->schema);
    free(t->text);
    free(t);
}

/* "server__tool" in the characters that every dialect allows. What is too long
 * ends with a digest of the whole, so that two names stay two. */
static char *local_name(const char *server, const char *tool) {
    char digest[HASH_HEX_SIZE];
    struct bytes name = {0};

    bytes_puts(&name, server);
    bytes_puts(&name, "__");
    for (const char *at = tool; *at; at++) {
        bool fine = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                    (*at >= '0' && *at <= '9') || *at == '_' || *at == '-';

        bytes_put(&name, fine ? (struct span){at, 1} : span_of("_"));
    }
    if (name.size > TOOL_NAME_MAX) {
        hash_sha256_hex(span_of(tool), digest);
        name.size = TOOL_NAME_MAX - 9;
        bytes_puts(&name, "_");
        bytes_put(&name, (struct span){digest, 8});
    }
    bytes_put(&name, (struct span){"", 1});
    return name.at;
}

static char *description_of(const cJSON *definition, const char *fallback) {
    const cJSON *text = get(definition, "description");
    struct span s =
        span_of(cJSON_IsString(text) && *text->valuestring ? text->valuestring
                                                           : fallback);

    if (s.size > MCP_DESCRIPTION_MAX) {
        s.size = MCP_DESCRIPTION_MAX;
        s.size = utf8_complete(s);
    }
    return span_dup(s);
}

static char *said_text(const cJSON *definition) {
    struct bytes text = {.limit = MCP_DEFINITION_TEXT_MAX};
    char *out = NULL;

    if (mcp_definition_text(definition, &text, NULL))
        out = span_dup(span_bytes(&text));
    bytes_free(&text);
    return out;
}

/* A digest that the configuration names was read by a person. */
static void let_judge(struct mcp_tool *t, const cJSON *definition) {
    const char *pin = mcp_options_pin(&t->owner->o, t->remote);

    if (pin && !strcmp(pin, t->hash)) return;
    t->text = said_text(definition);
    t->said = (struct tool_said){t->text, t->owner->o.name, t->remote, t->hash};
    t->tool.said = &t->said;
}

static struct mcp_tool *tool_new(const struct mcp *m, const cJSON *definition,
                                 const char *remote, struct err *err) {
    struct bytes schema = {.limit = TOOL_ARGUMENT_BYTES_MAX};
    const cJSON *input = get(definition, "inputSchema");
    struct mcp_tool *t = xalloc(sizeof *t);

    if (!cJSON_IsObject(input))
        (void)err_set(err, ERR_INPUT, "it has no inputSchema");
    else if (json_print(input, &schema, err) &&
             mcp_definition_hash(definition, t->hash, err))
        t->schema = span_dup(span_bytes(&schema));
    bytes_free(&schema);
    t->owner = m;
    t->remote = xstrdup(remote);
    t->name = local_name(m->o.name, remote);
    t->description = description_of(definition, remote);
    t->tool = (struct tool){.name = t->name,
                            .description = t->description,
                            .schema = t->schema,
                            .self = t,
                            .run = run,
                            .cancel = mcp_client_cancel};
    if (t->schema) {
        let_judge(t, definition);
        return t;
    }
    tool_free(t);
    return NULL;
}

/* ---- approval ---- */

static bool approve(const struct mcp *m, const struct mcp_pins *pins,
                    const struct mcp_tool *t, struct err *err) {
    const char *named = mcp_options_pin(&m->o, t->remote);
    const char *kept = mcp_pins_get(pins, m->o.name, t->remote);
    const char *want = named ? named : kept;

    if (!want && m->o.strict)
        return err_set(err, ERR_DENIED, "nobody approved it");
    if (want && strcmp(want, t->hash) != 0)
        return err_set(err, ERR_DENIED,
                       "its definition is not the one that was approved");
    return true;
}

static const char *remote_name(const cJSON *definition) {
    const char *name = cJSON_GetStringValue(get(definition, "name"));

    return name && *name && strlen(name) <= REMOTE_NAME_MAX ? name : NULL;
}

static void add_tool(struct mcp *m, struct registry *r,
                     const struct mcp_pins *pins, const cJSON *definition) {
    const char *remote = remote_name(definition);
    struct err err = {0};
    struct mcp_tool *t;

    if (!remote) {
        warn(m, "mcp_tool_refused", "", "", "it has no name");
        return;
    }
    t = tool_new(m, definition, remote, &err);
    if (t && approve(m, pins, t, &err) && registry_add(r, &t->tool, &err)) {
        m->tools[m->tool_count++] = t;
        return;
    }
    warn(m, "mcp_tool_refused", remote, t ? t->hash : "", err.text);
    if (t) tool_free(t);
}

bool mcp_add_tools(struct mcp *m, struct registry *r, struct err *err) {
    struct mcp_pins *pins = mcp_pins_open(m->o.pins_path, err);
    const cJSON *definition;

    if (!pins) return false;
    cJSON_ArrayForEach(definition, m->list) add_tool(m, r, pins, definition);
    mcp_pins_close(pins);
    cJSON_Delete(m->list);
    m->list = NULL;
    return true;
}

bool mcp_keep_pins(struct mcp *m,
                   bool (*admits)(void *user, const struct tool *tool),
                   void *user, struct err *err) {
    struct mcp_pins *pins = mcp_pins_open(m->o.pins_path, err);
    bool ok;

    if (!pins) return false;
    for (int i = 0; i < m->tool_count; i++) {
        const struct mcp_tool *t = m->tools[i];
        const char *kept = mcp_pins_get(pins, m->o.name, t->remote);

        if ((!kept || strcmp(kept, t->hash) != 0) && admits(user, &t->tool))
            mcp_pins_set(pins, m->o.name, t->remote, t->hash);
    }
    ok = mcp_pins_save(pins, err);
    mcp_pins_close(pins);
    return ok;
}

/* What nobody wants need not be looked at. */
static void keep_wanted(struct mcp *m, const cJSON *list) {
    const cJSON *item;

    m->list = cJSON_CreateArray();
    cJSON_ArrayForEach(item, list) {
        const char *remote = remote_name(item);

        if (!remote || mcp_options_wants(&m->o, remote))
            cJSON_AddItemToArray(m->list, cJSON_Duplicate(item, true));
    }
}

/* ---- on watch ---- */

static void set_why(const struct mcp *m, struct mcp_tool *t, const char *why,
                    const char *hash) {
    if (why == t->why) return;
    t->why = why;
    if (why)
        warn(m, "mcp_tool_unavailable", t->remote, hash, why);
    else
        log_event(LOG_INFO, "mcp_tool_available", "tool=%s", t->name);
}

static const cJSON *definition_of(const cJSON *list, const char *remote) {
    const cJSON *item;

    cJSON_ArrayForEach(item, list) {
        const char *name = cJSON_GetStringValue(get(item, "name"));

        if (name && !strcmp(name, remote)) return item;
    }
    return NULL;
}

static void compare(const struct mcp *m, struct mcp_tool *t,
                    const cJSON *list) {
    static const char gone[] = "the server does not have this tool any more";
    static const char changed[] =
        "the tool's definition changed and was not approved";
    const cJSON *definition = definition_of(list, t->remote);
    char hash[HASH_HEX_SIZE] = "";

    if (!definition)
        set_why(m, t, gone, "");
    else if (!mcp_definition_hash(definition, hash, NULL) ||
             strcmp(hash, t->hash) != 0)
        set_why(m, t, changed, hash);
    else
        set_why(m, t, NULL, hash);
}

static bool has_tool(const struct mcp *m, const char *remote) {
    for (int i = 0; i < m->tool_count; i++)
        if (!strcmp(m->tools[i]->remote, remote)) return true;
    return false;
}

/* Most likely misspelt; it is offered when Corral starts again and it is
 * there. */
static void tell_missing(const struct mcp *m, const cJSON *list) {
    const cJSON *name;

    cJSON_ArrayForEach(name, m->o.wanted) {
        if (!definition_of(list, name->valuestring))
            warn(m, "mcp_tool_missing", name->valuestring, "",
                 "the server has no tool of this name");
    }
}

static void on_tools(void *user, const cJSON *list) {
    struct mcp *m = user;
    const cJSON *item;
    int waiting = 0;

    if (m->state == MCP_STARTING) {
        m->state = MCP_LISTED;
        keep_wanted(m, list);
        tell_missing(m, list);
        return;
    }
    for (int i = 0; i < m->tool_count; i++) compare(m, m->tools[i], list);
    cJSON_ArrayForEach(item, list) {
        const char *name = cJSON_GetStringValue(get(item, "name"));

        waiting += name && mcp_options_wants(&m->o, name) && !has_tool(m, name);
    }
    if (waiting)
        log_event(LOG_INFO, "mcp_tools_wait", "server=%s count=%d", m->o.name,
                  waiting);
}

static void on_failed(void *user, const struct err *err) {
    struct mcp *m = user;

    m->state = MCP_FAILED;
    m->failure = *err;
}

/* ---- the face ---- */

static struct mcp_link *
open_link(void *user, const struct mcp_link_events *events, struct err *err) {
    const struct mcp *m = user;

    if (m->o.url)
        return mcp_http_open(m->loop, m->o.url, m->o.headers, m->o.header_count,
                             m->o.ca_file, events, err);
    return mcp_pipe_open(m->loop, m->o.name, (const char *const *)m->o.command,
                         (const char *const *)m->o.environment, m->o.folder,
                         events, err);
}

struct mcp *mcp_open(const struct tool_options *o, struct err *err) {
    struct mcp *m = xalloc(sizeof *m);
    struct mcp_client_options client = {.open = open_link,
                                        .on_tools = on_tools,
                                        .on_failed = on_failed,
                                        .user = m};

    m->loop = o->loop;
    if (!mcp_options_read(&m->o, o, err)) {
        mcp_close(m);
        return NULL;
    }
    client.name = m->o.name;
    client.start_ms = m->o.start_s * 1000;
    client.call_ms = m->o.timeout_s * 1000;
    client.call_ms_max = m->o.longest_s * 1000;
    m->client = mcp_client_new(o->loop, &client);
    return m;
}

void mcp_close(struct mcp *m) {
    if (!m) return;
    mcp_client_close(m->client);
    for (int i = 0; i < m->tool_count; i++) tool_free(m->tools[i]);
    cJSON_Delete(m->list);
    mcp_options_clear(&m->o);
    free(m);
}

enum mcp_state mcp_state(const struct mcp *m, struct err *why) {
    if (why && m->state == MCP_FAILED) *why = m->failure;
    return m->state;
}

bool mcp_is_optional(const struct mcp *m) {
    return m->o.optional;
}

const char *mcp_name(const struct mcp *m) {
    return m->o.name;
}
