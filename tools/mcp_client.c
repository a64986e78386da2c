/* mcp_client.c - one request of our own (the probe, the handshake, a page of
 * the list) is under way at a time, beside any number of calls. One timer
 * watches every deadline. */
#include "tools/mcp_client.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tools/mcp_wire.h"

enum {
    TICK_MS = 100,
    PROBE_MS = 3000,
    CALLS_MAX = 64,
    PAGES_MAX = 32,
    CURSOR_MAX = 4096,
    MESSAGES_PER_S_MAX = 5000,
    RELIST_MS = 300000,    /* a server need not tell that its list changed */
    RELIST_SOON_MS = 1000, /* after it did */
    BACKOFF_MS_MIN = 500,
    BACKOFF_MS_MAX = 60000,
    STEADY_MS = 60000 /* READY for so long, the pauses begin anew */
};

enum state { DOWN, PROBING, INITIALIZING, NOTIFYING, LISTING, READY };

struct mcp_client {
    enum state state;
    struct mcp_client_options o;
    uv_timer_t timer;
    struct mcp_link *link;
    bool modern;
    bool ever_ready;
    int64_t last_id;
    int64_t control_id;  /* of our own request under way; -1: none */
    int64_t probe_id;    /* of the probe, whose answer may come late */
    uint64_t control_ms; /* its deadline */
    uint64_t start_ms;   /* the deadline of getting READY */
    uint64_t wake_ms;    /* DOWN: when to connect; 0: not at all */
    uint64_t ready_ms;   /* since when READY */
    uint64_t relist_ms;  /* READY: when to list again */
    int backoff_ms;
    cJSON *list; /* the pages so far; NULL: not listing */
    int pages;
    struct tool_run *calls;
    int call_count;
    uint64_t second; /* of the messages counted */
    int messages;
};

struct tool_run {
    struct tool_run *next;
    struct mcp_client *client;
    int64_t id;
    uint64_t deadline_ms;
    uint64_t last_ms; /* whatever progress it makes */
    tool_done *done;
    void *user;
};

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* ---- calls ---- */

static struct tool_run *call_find(struct mcp_client *c, int64_t id) {
    struct tool_run *r = c->calls;

    while (r && r->id != id) r = r->next;
    return r;
}

static void call_unlink(struct tool_run *r) {
    struct tool_run **at = &r->client->calls;

    while (*at != r) at = &(*at)->next;
    *at = r->next;
    r->client->call_count--;
}

static void call_end(struct tool_run *r, bool ok, struct span text) {
    call_unlink(r);
    r->done(r->user, ok, text);
    free(r);
}

static void call_answer(struct tool_run *r, const struct mcp_incoming *in) {
    struct bytes text = {.limit = MCP_MESSAGE_BYTES_MAX};
    bool ok = false;

    if (in->kind == MCP_ANSWER) {
        ok = mcp_result_text(in->body, &text);
    } else {
        const cJSON *message = get(in->body, "message");

        bytes_puts(&text, "the server refused the call: ");
        bytes_put(&text, span_slice(span_of(cJSON_IsString(message)
                                                ? message->valuestring
                                                : "for no reason"),
                                    0, 1000));
    }
    call_end(r, ok, span_bytes(&text));
    bytes_free(&text);
}

/* ---- up and down ---- */

static void say(struct mcp_client *c, const struct bytes *json, int64_t id,
                const char *method) {
    const struct mcp_message m = {
        .json = span_bytes(json), .id = id, .method = method};

    /* What cannot be said is missed by its deadline. */
    if (c->link) (void)!c->link->send(c->link, &m, NULL);
}

static void fail_calls(struct mcp_client *c, const char *reason) {
    while (c->calls) call_end(c->calls, false, span_of(reason));
}

static void go_down(struct mcp_client *c, const struct err *err) {
    char quoted[ERR_TEXT_MAX];
    uint64_t now = clock_ms();
    bool steady = c->state == READY && now - c->ready_ms >= STEADY_MS;

    if (c->link) c->link->close(c->link);
    c->link = NULL;
    c->control_id = -1;
    cJSON_Delete(c->list);
    c->list = NULL;
    c->state = DOWN;
    c->wake_ms = 0;
    if (!c->ever_ready) {
        c->o.on_failed(c->o.user, err);
        return;
    }
    c->backoff_ms =
        steady || !c->backoff_ms ? BACKOFF_MS_MIN : 2 * c->backoff_ms;
    if (c->backoff_ms > BACKOFF_MS_MAX) c->backoff_ms = BACKOFF_MS_MAX;
    c->wake_ms = now + (uint64_t)c->backoff_ms;
    log_event(LOG_WARN, "mcp_down", "server=%s again_ms=%d reason=%s",
              c->o.name, c->backoff_ms,
              log_quote(err->text, quoted, sizeof quoted));
    fail_calls(c, "the server of this tool went away during the call");
}

static void broken(struct mcp_client *c, enum err_code code,
                   const char *reason) {
    struct err err = {0};

    (void)err_set(&err, code, "%s", reason);
    go_down(c, &err);
}

/* A request of our own. Consumes `params`. */
static void ask(struct mcp_client *c, const char *method, cJSON *params,
                int patience_ms) {
    struct bytes json = {.limit = MCP_MESSAGE_BYTES_MAX};
    uint64_t last = c->start_ms;
    struct mcp_message m = {.method = method};
    struct err err = {0};

    c->control_id = m.id = ++c->last_id;
    c->control_ms = clock_ms() + (uint64_t)patience_ms;
    if (c->state != READY && c->control_ms > last) c->control_ms = last;
    mcp_put_request(&json, m.id, method, params, c->modern, -1);
    m.json = span_bytes(&json);
    if (!c->link->send(c->link, &m, &err)) go_down(c, &err);
    bytes_free(&json);
}

static void initialize(struct mcp_client *c) {
    cJSON *params = cJSON_CreateObject();
    cJSON *info;

    c->state = INITIALIZING;
    c->modern = false;
    c->link->version = NULL;
    cJSON_AddStringToObject(params, "protocolVersion", MCP_LEGACY);
    cJSON_AddObjectToObject(params, "capabilities");
    info = cJSON_AddObjectToObject(params, "clientInfo");
    cJSON_AddStringToObject(info, "name", "corral");
    cJSON_AddStringToObject(info, "version", CORRAL_VERSION);
    ask(c, "initialize", params, c->o.start_ms);
}

static void ask_page(struct mcp_client *c, const char *cursor) {
    cJSON *params = cJSON_CreateObject();

    if (cursor) cJSON_AddStringToObject(params, "cursor", cursor);
    ask(c, "tools/list", params, c->o.start_ms);
}

static void list_tools(struct mcp_client *c) {
    if (c->state != READY) c->state = LISTING;
    cJSON_Delete(c->list);
    c->list = cJSON_CreateArray();
    c->pages = 0;
    ask_page(c, NULL);
}

/* ---- answers to requests of our own ---- */

static bool speaks_modern(const cJSON *result) {
    const cJSON *version;

    cJSON_ArrayForEach(
        version,
        get(result, "supportedVersions")) if (cJSON_IsString(version) &&
                                              !strcmp(version->valuestring,
                                                      MCP_MODERN)) return true;
    return false;
}

static const char *known_version(const cJSON *result) {
    static const char *const known[] = {"2024-11-05", "2025-03-26",
                                        "2025-06-18", MCP_LEGACY};
    const cJSON *version = get(result, "protocolVersion");

    for (size_t i = 0;
         cJSON_IsString(version) && i < sizeof known / sizeof *known; i++)
        if (!strcmp(version->valuestring, known[i])) return known[i];
    return NULL;
}

static void be_modern(struct mcp_client *c) {
    c->modern = true;
    c->link->version = MCP_MODERN;
    list_tools(c);
}

/* With requests that go their own ways the list waits until this one arrived,
 * which on_lost() tells: a server may refuse a list before it. */
static void tell_initialized(struct mcp_client *c) {
    struct bytes json = {0};
    struct mcp_message m = {.id = -1, .method = "notifications/initialized"};
    struct err err = {0};

    c->state = NOTIFYING;
    if (c->link->has_streams) c->control_id = m.id = ++c->last_id;
    c->control_ms = c->start_ms;
    mcp_put_notice(&json, m.method, NULL);
    m.json = span_bytes(&json);
    if (!c->link->send(c->link, &m, &err))
        go_down(c, &err);
    else if (!c->link->has_streams)
        list_tools(c);
    bytes_free(&json);
}

static void initialized(struct mcp_client *c, const cJSON *result) {

    c->link->version = known_version(result);
    if (!c->link->version) {
        broken(c, ERR_UNSUPPORTED, "the server speaks another version");
        return;
    }
    tell_initialized(c);
}

static void list_done(struct mcp_client *c) {
    cJSON *list = c->list;
    uint64_t now = clock_ms();

    c->list = NULL;
    if (c->state != READY) {
        c->state = READY;
        c->ready_ms = now;
        log_event(LOG_INFO, "mcp_ready", "server=%s version=%s tools=%d",
                  c->o.name, c->link->version, cJSON_GetArraySize(list));
    }
    c->ever_ready = true;
    c->relist_ms = now + RELIST_MS;
    c->o.on_tools(c->o.user, list);
    cJSON_Delete(list);
}

static void take_page(struct mcp_client *c, const cJSON *result) {
    const cJSON *tools = get(result, "tools");
    const cJSON *cursor = get(result, "nextCursor");
    const cJSON *tool;

    if (!cJSON_IsArray(tools)) {
        broken(c, ERR_INPUT, "the list of tools is none");
        return;
    }
    cJSON_ArrayForEach(tool, tools) {
        if (cJSON_GetArraySize(c->list) == MCP_TOOLS_MAX) {
            broken(c, ERR_LIMIT, "the server has too many tools");
            return;
        }
        cJSON_AddItemToArray(c->list, cJSON_Duplicate(tool, true));
    }
    if (!cJSON_IsString(cursor))
        list_done(c);
    else if (++c->pages == PAGES_MAX ||
             strlen(cursor->valuestring) > CURSOR_MAX)
        broken(c, ERR_LIMIT, "the list of tools does not end");
    else
        ask_page(c, cursor->valuestring);
}

static void refused(struct mcp_client *c, const cJSON *error) {
    const cJSON *message = get(error, "message");
    struct err err = {0};

    (void)err_set(&err, ERR_UNAVAILABLE, "the server said: %.200s",
                  cJSON_IsString(message) ? message->valuestring : "no");
    go_down(c, &err);
}

static void control_answer(struct mcp_client *c,
                           const struct mcp_incoming *in) {
    c->control_id = -1;
    if (c->link) c->link->forget(c->link, in->id);
    if (c->state == PROBING) {
        if (in->kind == MCP_ANSWER && speaks_modern(in->body))
            be_modern(c);
        else
            initialize(c);
    } else if (in->kind == MCP_ERROR) {
        refused(c, in->body);
    } else if (c->state == INITIALIZING) {
        initialized(c, in->body);
    } else if (c->list) {
        take_page(c, in->body);
    }
}

/* A server that is slow to start answers the probe after we gave it up, and
 * then takes no handshake any more. */
static bool is_late_probe(const struct mcp_client *c,
                          const struct mcp_incoming *in) {
    return c->state == INITIALIZING && in->id == c->probe_id &&
           in->kind == MCP_ANSWER && speaks_modern(in->body);
}

/* ---- what the link tells ---- */

static void progress(struct mcp_client *c, const cJSON *params) {
    const cJSON *token = get(params, "progressToken");
    struct tool_run *r = cJSON_IsNumber(token)
                             ? call_find(c, (int64_t)token->valuedouble)
                             : NULL;

    if (r) r->deadline_ms = clock_ms() + (uint64_t)c->o.call_ms;
}

static void take_notice(struct mcp_client *c, const struct mcp_incoming *in) {
    if (!strcmp(in->method, "notifications/progress"))
        progress(c, in->body);
    else if (!strcmp(in->method, "notifications/tools/list_changed") &&
             c->relist_ms > clock_ms() + RELIST_SOON_MS)
        c->relist_ms = clock_ms() + RELIST_SOON_MS;
}

static void reply(struct mcp_client *c, const struct mcp_incoming *in) {
    struct bytes json = {0};

    mcp_put_reply(&json, in);
    say(c, &json, -1, NULL);
    bytes_free(&json);
}

static bool is_flood(struct mcp_client *c) {
    uint64_t second = clock_ms() / 1000;

    if (second != c->second) c->messages = 0;
    c->second = second;
    return ++c->messages > MESSAGES_PER_S_MAX;
}

static void on_message(void *user, const cJSON *message) {
    struct mcp_client *c = user;
    const struct mcp_incoming in = mcp_incoming_read(message);
    struct tool_run *r;

    if (is_flood(c)) {
        broken(c, ERR_LIMIT, "the server floods us with messages");
        return;
    }
    switch (in.kind) {
    case MCP_ANSWER:
    case MCP_ERROR:
        if (in.id < 0) break;
        r = call_find(c, in.id);
        if (in.id == c->control_id) {
            control_answer(c, &in);
        } else if (is_late_probe(c, &in)) {
            c->control_id = -1;
            be_modern(c);
        } else if (r) {
            c->link->forget(c->link, in.id);
            call_answer(r, &in);
        }
        break;
    case MCP_REQUEST:
        reply(c, &in);
        break;
    case MCP_NOTICE:
        take_notice(c, &in);
        break;
    case MCP_NOISE:
        break;
    }
}

static void on_lost(void *user, int64_t id, const struct err *err) {
    struct mcp_client *c = user;
    struct tool_run *r = call_find(c, id);

    if (id == c->control_id && c->state == PROBING) {
        c->control_id = -1;
        initialize(c);
    } else if (id == c->control_id && c->state == NOTIFYING) {
        c->control_id = -1;
        list_tools(c);
    } else if (id == c->control_id) {
        go_down(c, err);
    } else if (r) {
        call_end(r, false, span_of(err->text));
    }
}

static void on_down(void *user, const struct err *err) {
    go_down(user, err);
}

/* ---- time ---- */

static void start_connecting(struct mcp_client *c) {
    const struct mcp_link_events events = {.on_message = on_message,
                                           .on_lost = on_lost,
                                           .on_down = on_down,
                                           .user = c};
    struct err err = {0};

    c->wake_ms = 0;
    c->start_ms = clock_ms() + (uint64_t)c->o.start_ms;
    c->link = c->o.open(c->o.user, &events, &err);
    if (!c->link) {
        go_down(c, &err);
        return;
    }
    c->state = PROBING;
    c->modern = true;
    c->link->version = MCP_MODERN;
    c->probe_id = c->last_id + 1;
    ask(c, "server/discover", NULL, PROBE_MS);
}

static void tell_cancelled(struct tool_run *r) {
    struct mcp_client *c = r->client;
    struct bytes json = {0};
    cJSON *params;

    if (!c->link) return;
    c->link->forget(c->link, r->id);
    if (c->modern && c->link->has_streams) return; /* that was it */
    params = cJSON_CreateObject();
    cJSON_AddNumberToObject(params, "requestId", (double)r->id);
    mcp_put_notice(&json, "notifications/cancelled", params);
    say(c, &json, -1, "notifications/cancelled");
    bytes_free(&json);
}

static void end_late_calls(struct mcp_client *c, uint64_t now) {
    struct tool_run *r = c->calls;

    while (r) {
        if (now < r->deadline_ms && now < r->last_ms) {
            r = r->next;
            continue;
        }
        tell_cancelled(r);
        call_end(r, false, span_of("the tool did not answer in time"));
        r = c->calls; /* whatever its asker did to the list */
    }
}

static void control_late(struct mcp_client *c, uint64_t now) {
    if (c->state == PROBING && now < c->start_ms) {
        c->link->forget(c->link, c->control_id);
        c->control_id = -1;
        initialize(c);
    } else {
        broken(c, ERR_TIMEOUT, "the server does not answer");
    }
}

static void on_tick(uv_timer_t *timer) {
    struct mcp_client *c = timer->data;
    uint64_t now = clock_ms();

    end_late_calls(c, now);
    if (c->state == DOWN) {
        if (c->wake_ms && now >= c->wake_ms) start_connecting(c);
    } else if (c->control_id >= 0) {
        if (now >= c->control_ms) control_late(c, now);
    } else if (c->state == READY && now >= c->relist_ms) {
        list_tools(c);
    }
}

/* ---- the face ---- */

struct mcp_client *mcp_client_new(uv_loop_t *loop,
                                  const struct mcp_client_options *o) {
    struct mcp_client *c = xalloc(sizeof *c);

    c->o = *o;
    c->control_id = -1;
    c->wake_ms = 1;
    (void)uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    (void)uv_timer_start(&c->timer, on_tick, 0, TICK_MS);
    uv_unref((uv_handle_t *)&c->timer);
    return c;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

void mcp_client_close(struct mcp_client *c) {
    if (!c) return;
    if (c->link) c->link->close(c->link);
    c->link = NULL;
    cJSON_Delete(c->list);
    while (c->calls) {
        struct tool_run *r = c->calls;

        call_unlink(r);
        free(r);
    }
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

struct tool_run *mcp_client_call(struct mcp_client *c, const char *tool,
                                 const cJSON *arguments, tool_done *done,
                                 void *user) {
    struct bytes json = {.limit = 4 * TOOL_ARGUMENT_BYTES_MAX};
    cJSON *params = cJSON_CreateObject();
    struct mcp_message m = {.method = "tools/call", .tool = tool};
    struct tool_run *r = NULL;
    struct err err = {0};

    m.id = ++c->last_id;
    cJSON_AddStringToObject(params, "name", tool);
    cJSON_AddItemToObject(params, "arguments",
                          cJSON_Duplicate(arguments, true));
    mcp_put_request(&json, m.id, m.method, params, c->modern, m.id);
    m.json = span_bytes(&json);
    if (c->state != READY)
        (void)err_set(&err, ERR_UNAVAILABLE,
                      "the server of this tool is not running");
    else if (c->call_count == CALLS_MAX)
        (void)err_set(&err, ERR_BUSY, "the server of this tool is busy");
    else if (!json.size)
        (void)err_set(&err, ERR_LIMIT, "the arguments are too long");
    else if (c->link->send(c->link, &m, &err)) {
        uint64_t now = clock_ms();

        r = xalloc(sizeof *r);
        *r = (struct tool_run){.next = c->calls,
                               .client = c,
                               .id = m.id,
                               .deadline_ms = now + (uint64_t)c->o.call_ms,
                               .last_ms = now + (uint64_t)c->o.call_ms_max,
                               .done = done,
                               .user = user};
        c->calls = r;
        c->call_count++;
    }
    bytes_free(&json);
    if (!r) done(user, false, span_of(err.text));
    return r;
}

void mcp_client_cancel(struct tool_run *r) {
    tell_cancelled(r);
    call_unlink(r);
    free(r);
}
