/* tool_code_interpreter.c - Python in a sandbox. A session has one process, so
 * that variables last from call to call; a call without a session has its own,
 * which ends with it. Calls of one session wait for each other.
 *
 *   a run:  WAITING -> RUNNING -> done     or cancelled, which costs the
 *                                          session its process and variables */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "tools/artefact.h"
#include "tools/sandbox.h"
#include "tools/tool_builtin.h"

enum {
    WAITING_MAX = 8, /* runs of one session */
    SHOWN_BYTES_MAX = 48 << 10,
    TICK_MS = 500,
    GRACE_MS = 3000 /* for Python to stop by itself */
};

extern const char interpreter_py[]; /* interpreter.py, by cmake/embed.cmake */

struct interpreter {
    struct tool tool;
    uv_loop_t *loop;
    uv_timer_t timer; /* keeps the loop only while something runs */
    struct artefacts *artefacts;
    char *python;
    struct sandbox_options sandbox;
    int seconds;      /* of one run */
    int idle_seconds; /* after which a session's process goes */
    int session_max;
    int session_count;
    struct session *sessions;
    int running_count;
};

struct session {
    struct interpreter *owner;
    struct session *next;
    char *key; /* NULL: of one run only */
    struct sandbox *sandbox;
    struct tool_run *running;
    struct tool_run *waiting; /* oldest first */
    uint64_t deadline_ms;     /* of the running one */
    uint64_t used_ms;
};

struct tool_run {
    struct session *session;
    struct tool_run *next;
    struct bytes request;
    char owner[ARTEFACT_OWNER_MAX + 1]; /* whose pictures its are */
    tool_done *done;
    void *user;
};

static void session_next(struct session *s);

/* ---- sessions ---- */

static void session_free(struct session *s) {
    struct session **at = &s->owner->sessions;

    while (*at != s) at = &(*at)->next;
    *at = s->next;
    s->owner->session_count--;
    sandbox_kill(s->sandbox);
    free(s->key);
    free(s);
}

static struct session *session_find(struct interpreter *in, struct span key) {
    for (struct session *s = in->sessions; s; s = s->next)
        if (s->key && span_is(key, s->key)) return s;
    return NULL;
}

/* Room for one more: the one that was idle longest has to go. */
static bool make_room(struct interpreter *in) {
    struct session *oldest = NULL;

    if (in->session_count < in->session_max) return true;
    for (struct session *s = in->sessions; s; s = s->next)
        if (!s->running && (!oldest || s->used_ms < oldest->used_ms))
            oldest = s;
    if (!oldest) return false;
    session_free(oldest);
    return true;
}

static struct session *session_of(struct interpreter *in, struct span key) {
    struct session *s = key.size ? session_find(in, key) : NULL;

    if (s || !make_room(in)) return s;
    s = xalloc(sizeof *s);
    s->owner = in;
    s->key = key.size ? span_dup(key) : NULL;
    s->next = in->sessions;
    in->sessions = s;
    in->session_count++;
    return s;
}

/* ---- results ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_decode(const char *hex, struct bytes *out) {
    for (; hex[0]; hex += 2) {
        int high = hex_digit(hex[0]), low = hex[1] ? hex_digit(hex[1]) : -1;
        char byte = (char)(high << 4 | low);

        if (high < 0 || low < 0 || !bytes_append(out, &byte, 1, NULL))
            return false;
    }
    return true;
}

static const char *text_of(const cJSON *object, const char *key) {
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsString(node) ? node->valuestring : "";
}

/* The name is the model's choice and goes into a line of ours. */
static bool name_plain(const char *name) {
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-.") == strlen(name);
}

static void keep_image(struct interpreter *in, const cJSON *image,
                       const char *owner, struct bytes *out) {
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    struct bytes png = {.limit = ARTEFACT_BYTES_MAX};
    const char *name = text_of(image, "name");
    char digest[HASH_HEX_SIZE], id[HASH_ID_SIZE], line[256];

    if (in->artefacts && hex_decode(text_of(image, "data"), &png) &&
        span_starts(span_bytes(&png), span_of(signature)) &&
        artefacts_put(in->artefacts, "image/png", span_bytes(&png),
                      span_of(owner), id, NULL)) {
        hash_sha256_hex(span_bytes(&png), digest);
        (void)snprintf(line, sizeof line,
                       "[picture %.64s: %zu bytes, sha256 %s, "
                       "GET /v1/artefacts/%s]\n",
                       name_plain(name) ? name : "picture.png", png.size,
                       digest, id);
        bytes_puts(out, line);
    }
    bytes_free(&png);
}

/* What the model reads of an answer; false when it is none. */
static bool answer_read(const struct session *s, struct span message, bool *ok,
                        struct bytes *out) {
    cJSON *answer = json_parse(message, NULL);
    const cJSON *images, *image;
    const char *error;
    int count = 0;

    if (!cJSON_IsObject(answer)) {
        cJSON_Delete(answer);
        return false;
    }
    error = text_of(answer, "error");
    images = cJSON_GetObjectItemCaseSensitive(answer, "images");
    bytes_puts(out, text_of(answer, "text"));
    if (out->size && out->at[out->size - 1] != '\n') bytes_puts(out, "\n");
    bytes_puts(out, error);
    cJSON_ArrayForEach(image, images) if (count++ < 4)
        keep_image(s->owner, image, s->running->owner, out);
    *ok = !*error;
    if (!out->size) bytes_puts(out, "(no output)");
    cJSON_Delete(answer);
    return true;
}

/* ---- runs ---- */

static void run_free(struct tool_run *run) {
    bytes_free(&run->request);
    free(run);
}

static void running_end(struct session *s) {
    s->running = NULL;
    s->used_ms = clock_ms();
    if (--s->owner->running_count == 0)
        uv_unref((uv_handle_t *)&s->owner->timer);
}

/* `done` comes last: what it does may take the session away. */
static void run_end(struct session *s, bool ok, struct span text) {
    struct tool_run *run = s->running;

    running_end(s);
    if (s->key)
        session_next(s);
    else
        session_free(s);
    run->done(run->user, ok, text);
    run_free(run);
}

static void on_message(void *user, struct span message) {
    struct session *s = user;
    struct bytes text = {0};
    bool ok = false;

    if (s->running && answer_read(s, message, &ok, &text)) {
        run_end(s, ok, span_bytes(&text));
    } else {
        /* It talks out of turn: code of an earlier call forges answers. */
        sandbox_kill(s->sandbox);
        s->sandbox = NULL;
        if (s->running)
            run_end(s, false,
                    span_of("the interpreter was stopped: it sent "
                            "what is no answer"));
    }
    bytes_free(&text);
}

static void on_ended(void *user, struct span words) {
    struct session *s = user;
    char text[512];

    s->sandbox = NULL;
    if (!s->running) return;
    words.size = utf8_complete(span_slice(words, 0, 300));
    (void)snprintf(text, sizeof text,
                   "Python ended (perhaps for want of memory); the variables "
                   "are lost%s%.*s",
                   words.size ? ": " : "", (int)words.size, words.at);
    run_end(s, false, span_of(text));
}

static bool session_ready(struct session *s, struct err *err) {
    const struct sandbox_events events = {on_message, on_ended, s};

    if (!s->sandbox)
        s->sandbox =
            sandbox_spawn(s->owner->loop, &s->owner->sandbox, &events, err);
    return s->sandbox != NULL;
}

static void session_next(struct session *s) {
    struct tool_run *run = s->waiting;
    struct err err = {0};

    if (s->running || !run) return;
    s->waiting = run->next;
    s->running = run;
    if (s->owner->running_count++ == 0) uv_ref((uv_handle_t *)&s->owner->timer);
    s->deadline_ms = clock_ms() + (uint64_t)s->owner->seconds * 1000 + GRACE_MS;
    if (!session_ready(s, &err))
        run_end(s, false, span_of(err.text));
    else if (!sandbox_send(s->sandbox, span_bytes(&run->request), &err))
        s->deadline_ms = 0; /* its end is under way */
}

static void on_late(struct session *s) {
    sandbox_kill(s->sandbox);
    s->sandbox = NULL;
    run_end(s, false,
            span_of("it took too long and was stopped; the variables are "
                    "lost"));
}

/* A late run ends in callbacks that may take any session away, so the list is
 * walked again from its start after each. */
static void on_tick(uv_timer_t *timer) {
    struct interpreter *in = timer->data;
    uint64_t now = clock_ms();
    struct session *s = in->sessions, *next;

    while (s && !(s->running && s->deadline_ms <= now)) s = s->next;
    if (s) {
        on_late(s);
        on_tick(timer);
        return;
    }
    for (s = in->sessions; s; s = next) {
        next = s->next;
        if (!s->running && now - s->used_ms > (uint64_t)in->idle_seconds * 1000)
            session_free(s);
    }
}

static bool request_write(struct interpreter *in, const cJSON *arguments,
                          struct bytes *out) {
    bytes_puts(out, "{\"code\":");
    return json_put_string(out, span_of(text_of(arguments, "code")), NULL) &&
           bytes_printf(out, NULL, ",\"seconds\":%d}", in->seconds);
}

static struct tool_run *refuse(struct tool_run *run, const char *why) {
    run->done(run->user, false, span_of(why));
    run_free(run);
    return NULL;
}

static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    struct interpreter *in = tool->self;
    struct tool_run *run = xalloc(sizeof *run), **at;
    struct session *s;
    struct err err = {0};
    int waiting = 0;

    *run = (struct tool_run){.done = done, .user = user};
    if (!request_write(in, arguments, &run->request))
        return refuse(run, "the code is too long");
    if (context->owner.size > ARTEFACT_OWNER_MAX)
        return refuse(run, "whose call this is cannot be kept");
    if (context->owner.size)
        memcpy(run->owner, context->owner.at, context->owner.size);
    s = session_of(in, context->session);
    if (!s) return refuse(run, "all interpreters are busy; try again later");
    if (!session_ready(s, &err)) {
        if (!s->running) session_free(s);
        return refuse(run, err.text);
    }
    for (at = &s->waiting; *at; at = &(*at)->next) waiting++;
    if (waiting == WAITING_MAX)
        return refuse(run, "too many calls wait for this session");
    run->session = s;
    *at = run;
    session_next(s);
    return run;
}

static void cancel(struct tool_run *run) {
    struct session *s = run->session;
    struct tool_run **at = &s->waiting;

    if (s->running == run) {
        sandbox_kill(s->sandbox);
        s->sandbox = NULL;
        running_end(s);
        if (s->key)
            session_next(s);
        else
            session_free(s);
    } else {
        while (*at != run) at = &(*at)->next;
        *at = run->next;
    }
    run_free(run);
}

/* ---- life ---- */

static void on_closed(uv_handle_t *timer) {
    struct interpreter *in = timer->data;

    free(in->python);
    free(in);
}

static void close_tool(struct tool *tool) {
    struct interpreter *in = tool->self;

    while (in->sessions) session_free(in->sessions);
    uv_close((uv_handle_t *)&in->timer, on_closed);
}

struct probe {
    bool over;
    bool ok;
    char text[256];
};

static void on_probed(void *user, bool ok, struct span text) {
    struct probe *p = user;

    p->over = true;
    p->ok = ok;
    (void)snprintf(p->text, sizeof p->text, "%.*s",
                   (int)(text.size > 200 ? 200 : text.size), text.at);
}

/* The whole way once, at start, where waiting is allowed: whatever is missing,
 * the tool is refused then and not in the middle of a conversation. */
static bool probe(struct interpreter *in, const struct tool_options *o,
                  struct err *err) {
    cJSON *arguments = cJSON_CreateObject();
    const struct tool_context nobody = {0};
    struct probe p = {0};
    struct tool_run *under_way;

    (void)cJSON_AddStringToObject(arguments, "code", "6 * 7");
    under_way = run(&in->tool, arguments, &nobody, on_probed, &p);
    while (under_way && !p.over) (void)uv_run(in->loop, UV_RUN_ONCE);
    cJSON_Delete(arguments);
    if (p.ok && !strcmp(p.text, "42\n")) return true;
    return option_fail(o, NULL, err, "no sandbox: %s", p.text);
}

static bool read_options(struct interpreter *in, const struct tool_options *o,
                         struct err *err) {
    static const char *const keys[] = {
        "python",   "seconds",      "memory_mb",   "disk_mb",
        "sessions", "idle_seconds", "cpu_seconds", NULL};

    if (!option_only(o, keys, err) ||
        !option_path(o, "python", &in->python, err) ||
        !option_int(o, "seconds", 1, 600, &in->seconds, err) ||
        !option_int(o, "memory_mb", 128, 65536, &in->sandbox.memory_mb, err) ||
        !option_int(o, "disk_mb", 1, 65536, &in->sandbox.disk_mb, err) ||
        !option_int(o, "sessions", 1, 256, &in->session_max, err) ||
        !option_int(o, "idle_seconds", 1, 86400, &in->idle_seconds, err) ||
        !option_int(o, "cpu_seconds", 1, 86400, &in->sandbox.cpu_seconds, err))
        return false;
    if (!in->python) in->python = xstrdup("/usr/bin/python3");
    if (in->python[0] != '/')
        return option_fail(o, option_get(o, "python"), err,
                           "python must be an absolute path");
    in->sandbox.python = in->python;
    return true;
}

struct tool *code_interpreter_open(const struct tool_options *o,
                                   struct err *err) {
    struct interpreter *in = xalloc(sizeof *in);

    *in = (struct interpreter){
        .tool = {.name = "code_interpreter",
                 .description =
                     "Run Python and see what it prints and the value of its "
                     "last expression. Variables last between calls. There is "
                     "no network; files live in the working folder. "
                     "matplotlib figures are kept as pictures.",
                 .schema = "{\"type\":\"object\",\"properties\":{\"code\":{"
                           "\"type\":\"string\",\"description\":\"Python "
                           "code\",\"maxLength\":32768}},\"required\":["
                           "\"code\"],\"additionalProperties\":false}",
                 .shown_bytes_max = SHOWN_BYTES_MAX,
                 .self = in,
                 .run = run,
                 .cancel = cancel,
                 .close = close_tool},
        .loop = o->loop,
        .artefacts = o->artefacts,
        .sandbox = {.script = interpreter_py,
                    .memory_mb = 512,
                    .disk_mb = 64,
                    .cpu_seconds = 600},
        .seconds = 30,
        .idle_seconds = 600,
        .session_max = 8};
    (void)uv_timer_init(o->loop, &in->timer);
    in->timer.data = in;
    (void)uv_timer_start(&in->timer, on_tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)&in->timer);
    if (read_options(in, o, err) && probe(in, o, err)) return &in->tool;
    close_tool(&in->tool);
    return NULL;
}
