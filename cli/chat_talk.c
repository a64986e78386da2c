/* chat_talk.c - a session of the server's, so that it keeps the record; the
 * calls of tools are read from there while an answer is waited for. */
#include "cli/chat_talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/chat_screen.h"

enum { ASKED_MAX = 64, PATH_MAX_BYTES = 160, BUSY_TRIES = 20 };

struct talk {
    struct chat_talk_options o;
    struct chat_screen screen;
    char session[64];
    char policy[64];
    int seen;        /* entries of the session that were looked at */
    bool failed;     /* this answer ended with an error, which was shown */
    bool answering;  /* a part of this answer was shown */
    int64_t started; /* this turn, in seconds since 1970 */
    char asked[ASKED_MAX][40]; /* questions of this turn that had an answer */
    int asked_count;
};

static const char *text_of(const cJSON *json, const char *key) {
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));

    return text ? text : "";
}

static void note(struct talk *t, const char *text) {
    chat_screen_line(&t->screen, SCREEN_NOTE, "", span_of(text));
}

static void alarm_of(struct talk *t, const char *before, const char *text) {
    chat_screen_line(&t->screen, SCREEN_ALARM, before, span_of(text));
}

/* ---- requests ------------------------------------------------------- */

/* The answer's JSON, the caller's to delete; NULL when it is no 200, with what
 * the server said of it in `err`. */
static cJSON *ask(struct talk *t, const char *method, const char *path,
                  struct span body, struct err *err) {
    struct chat_reply reply = {0};
    const char *said;
    cJSON *json = NULL;

    if (chat_link_ask(t->o.link, method, path, body, &reply, err))
        json = json_parse(span_bytes(&reply.body), err);
    if (json && reply.status != 200) {
        said =
            text_of(cJSON_GetObjectItemCaseSensitive(json, "error"), "message");
        (void)err_set(err, ERR_UNAVAILABLE, "%d: %.200s", reply.status, said);
        cJSON_Delete(json);
        json = NULL;
    }
    bytes_free(&reply.body);
    return json;
}

static bool put_member(struct bytes *out, const char *key, const char *text,
                       struct err *err) {
    return !text || (bytes_printf(out, err,
                                  "%s\"%s\":", out->size > 1 ? "," : "", key) &&
                     json_put_string(out, span_of(text), err));
}

static bool new_session(struct talk *t, struct err *err) {
    struct bytes body = {0};
    cJSON *json = NULL;
    bool ok = bytes_append(&body, "{", 1, err) &&
              put_member(&body, "model", t->o.model, err) &&
              put_member(&body, "system", t->o.system, err) &&
              bytes_append(&body, "}", 1, err);

    if (ok) json = ask(t, "POST", "/v1/sessions", span_bytes(&body), err);
    if (json)
        (void)snprintf(t->session, sizeof t->session, "%s",
                       text_of(json, "id"));
    t->seen = 0;
    cJSON_Delete(json);
    bytes_free(&body);
    return json != NULL;
}

/* ---- what the session's record says --------------------------------- */

static void show_calls(struct talk *t, const cJSON *message) {
    const cJSON *call;

    cJSON_ArrayForEach(
        call, cJSON_GetObjectItemCaseSensitive(message, "tool_calls")) {
        const cJSON *function =
            cJSON_GetObjectItemCaseSensitive(call, "function");
        struct bytes line = {0};

        bytes_puts(&line, text_of(function, "name"));
        bytes_puts(&line, " ");
        bytes_puts(&line, text_of(function, "arguments"));
        chat_screen_line(&t->screen, SCREEN_TOOL, "-> ", span_bytes(&line));
        bytes_free(&line);
    }
}

static void show_entry(struct talk *t, const cJSON *entry) {
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(entry, "message");
    const cJSON *event = cJSON_GetObjectItemCaseSensitive(entry, "event");

    show_calls(t, message);
    if (!strcmp(text_of(message, "role"), "tool"))
        chat_screen_line(&t->screen, SCREEN_TOOL, "<- ",
                         span_of(text_of(message, "content")));
    if (!strcmp(text_of(event, "type"), "compacted"))
        note(t, "[the oldest turns left the model's window]");
}

/* `quiet`: only count them. False when there is no such session. */
static bool read_record(struct talk *t, bool quiet, struct err *err) {
    char path[PATH_MAX_BYTES];
    const cJSON *entry;
    cJSON *json;
    int index = 0;

    (void)snprintf(path, sizeof path, "/v1/sessions/%s", t->session);
    json = ask(t, "GET", path, span_of(""), err);
    cJSON_ArrayForEach(entry,
                       cJSON_GetObjectItemCaseSensitive(json, "entries")) {
        if (index++ < t->seen) continue;
        if (!quiet) show_entry(t, entry);
        t->seen = index;
    }
    cJSON_Delete(json);
    return json != NULL;
}

/* ---- questions ------------------------------------------------------ */

static bool was_asked(const struct talk *t, const char *id) {
    for (int i = 0; i < t->asked_count; i++)
        if (!strcmp(t->asked[i], id)) return true;
    return false;
}

static bool says_yes(struct talk *t) {
    struct bytes line = {0};
    bool yes = false;

    if (!t->screen.input_tty) {
        note(t, "[denied: nobody is at a terminal]");
        return false;
    }
    chat_screen_forget(&t->screen);
    if (chat_screen_read(&t->screen, "   allow it? [y/N] ", &line) ==
        SCREEN_LINE)
        yes = span_is(span_bytes(&line), "y") ||
              span_is(span_bytes(&line), "yes");
    bytes_free(&line);
    return yes;
}

static void answer_question(struct talk *t, const cJSON *question) {
    char path[PATH_MAX_BYTES];
    struct bytes line = {0};
    struct err err = {0};
    const char *id = text_of(question, "id");
    bool yes;

    if (t->asked_count < ASKED_MAX)
        (void)snprintf(t->asked[t->asked_count++], sizeof t->asked[0], "%s",
                       id);
    bytes_puts(&line, text_of(question, "tool"));
    bytes_puts(&line, " ");
    bytes_puts(&line, text_of(question, "arguments"));
    chat_screen_whole_line(&t->screen, SCREEN_ALARM,
                           "?? the model asks leave to call ",
                           span_bytes(&line));
    bytes_free(&line);
    yes = says_yes(t);
    (void)snprintf(path, sizeof path, "/v1/approvals/%.40s", id);
    cJSON_Delete(ask(
        t, "POST", path,
        span_of(yes ? "{\"decision\":\"approve\"}" : "{\"decision\":\"deny\"}"),
        &err));
    if (err.code) alarm_of(t, "[not answered] ", err.text);
}

/* On a server that others use, only what came since the turn began; that it is
 * ours is then for the person to see. */
static void look_for_questions(struct talk *t) {
    struct err err = {0};
    cJSON *json = ask(t, "GET", "/v1/approvals", span_of(""), &err);
    const cJSON *question;

    cJSON_ArrayForEach(question,
                       cJSON_GetObjectItemCaseSensitive(json, "data")) {
        const cJSON *created =
            cJSON_GetObjectItemCaseSensitive(question, "created");

        if (was_asked(t, text_of(question, "id")) ||
            (!t->o.own_server &&
             cJSON_GetNumberValue(created) < (double)t->started))
            continue;
        answer_question(t, question);
    }
    cJSON_Delete(json);
}

static void on_silence(void *user) {
    struct talk *t = user;
    struct err err = {0};

    (void)read_record(t, false, &err);
    look_for_questions(t);
}

/* ---- an answer ------------------------------------------------------ */

/* The checks that say so, and the likeliest hazard where the guard says it. */
static void show_checks(const cJSON *corral, struct bytes *line) {
    const cJSON *item, *worst = NULL;

    cJSON_ArrayForEach(item,
                       cJSON_GetObjectItemCaseSensitive(corral, "checks")) {
        if (!cJSON_IsString(item)) continue;
        bytes_puts(line, " ");
        bytes_puts(line, item->valuestring);
    }
    cJSON_ArrayForEach(item,
                       cJSON_GetObjectItemCaseSensitive(corral, "categories")) {
        if (cJSON_IsNumber(item) &&
            (!worst || item->valuedouble > worst->valuedouble))
            worst = item;
    }
    if (!worst || worst->valuedouble < 0.5) return;
    bytes_puts(line, " ");
    bytes_puts(line, worst->string);
}

/* {decision_id, action, checks, categories, channel}, or what was dropped. */
static void show_verdict(struct talk *t, const cJSON *corral) {
    const char *action = text_of(corral, "action");
    struct bytes line = {0};

    if (!*action) return;
    bytes_puts(&line, action);
    bytes_puts(&line, " on ");
    bytes_puts(&line, text_of(corral, "channel"));
    bytes_puts(&line, ":");
    show_checks(corral, &line);
    bytes_puts(&line, ", decision ");
    bytes_puts(&line, text_of(corral, "decision_id"));
    chat_screen_line(&t->screen, SCREEN_ALARM, "!! ", span_bytes(&line));
    bytes_free(&line);
}

/* The calls that an answer rests on stand before it. */
static void show_text(struct talk *t, struct span text) {
    struct err err = {0};

    if (text.size && !t->answering) (void)read_record(t, false, &err);
    t->answering = t->answering || text.size;
    chat_screen_text(&t->screen, text);
}

static void on_data(void *user, struct span data) {
    struct talk *t = user;
    cJSON *json = span_is(data, "[DONE]") ? NULL : json_parse(data, NULL);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
    const cJSON *choice;

    cJSON_ArrayForEach(choice,
                       cJSON_GetObjectItemCaseSensitive(json, "choices")) {
        const cJSON *delta = cJSON_GetObjectItemCaseSensitive(choice, "delta");

        show_text(t, span_of(text_of(delta, "content")));
        show_verdict(t, cJSON_GetObjectItemCaseSensitive(choice, "corral"));
    }
    show_verdict(t, cJSON_GetObjectItemCaseSensitive(json, "corral"));
    if (error) {
        alarm_of(t, "!! ", text_of(error, "message"));
        t->failed = true;
    }
    cJSON_Delete(json);
}

/* An answer that is no stream says why not. */
static void show_refusal(struct talk *t, const struct chat_reply *reply) {
    cJSON *json = json_parse(span_bytes(&reply->body), NULL);
    const char *said =
        text_of(cJSON_GetObjectItemCaseSensitive(json, "error"), "message");
    char number[16];

    (void)snprintf(number, sizeof number, "!! %d ", reply->status);
    alarm_of(t, number, *said ? said : "the server says no");
    cJSON_Delete(json);
}

/* 409: a turn that was interrupted is not over yet. */
static bool stream(struct talk *t, struct span body, bool *interrupted,
                   struct err *err) {
    const struct chat_stream_events events = {on_data, on_silence, t};
    char path[PATH_MAX_BYTES];
    bool ok = false;

    (void)snprintf(path, sizeof path, "/v1/sessions/%s/messages", t->session);
    for (int i = 0; i < BUSY_TRIES; i++) {
        struct chat_reply reply = {0};
        bool again;

        ok = chat_link_stream(t->o.link, path, body, &events, &reply,
                              interrupted, err);
        again =
            ok && !*interrupted && reply.status == 409 && i + 1 < BUSY_TRIES;
        if (ok && *reply.policy)
            (void)snprintf(t->policy, sizeof t->policy, "%s", reply.policy);
        if (ok && !*interrupted && !again && reply.status != 200)
            show_refusal(t, &reply);
        bytes_free(&reply.body);
        if (!again) break;
        (void)usleep(100 * 1000);
    }
    return ok;
}

static bool say(struct talk *t, struct span text, struct err *err) {
    struct bytes body = {0};
    bool interrupted = false, ok;
    struct err read = {0};

    t->started = clock_wall_s();
    t->asked_count = 0;
    t->failed = t->answering = false;
    ok = bytes_printf(&body, err, "{\"stream\":true,\"content\":") &&
         json_put_string(&body, text, err) &&
         bytes_append(&body, "}", 1, err) &&
         stream(t, span_bytes(&body), &interrupted, err);
    bytes_free(&body);
    chat_screen_heed();
    if (!ok) return false;
    if (interrupted) note(t, "[stopped]");
    /* Calls that were faster than the first look. */
    (void)read_record(t, false, &read);
    return true;
}

/* ---- lines ---------------------------------------------------------- */

static void help(struct talk *t) {
    static const char *const lines[] = {
        "/new       begin another conversation",
        "/session   the conversation's id",
        "/policy    the revision that judged last",
        "/help      this",
        "/quit      leave (or Ctrl-D)",
        "Ctrl-C stops an answer. A line that begins with // is said with one "
        "of them."};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) note(t, lines[i]);
}

/* False: leave. */
static bool command(struct talk *t, struct span line, struct err *err) {
    if (span_is(line, "/quit") || span_is(line, "/exit")) return false;
    if (span_is(line, "/new")) {
        if (!new_session(t, err)) return false;
        note(t, "[a new conversation]");
    } else if (span_is(line, "/session")) {
        note(t, t->session);
    } else if (span_is(line, "/policy")) {
        note(t, *t->policy ? t->policy : "[nothing was judged yet]");
    } else {
        if (!span_is(line, "/help")) note(t, "[no such command]");
        help(t);
    }
    return true;
}

static bool take_line(struct talk *t, struct span line, struct err *err) {
    while (line.size && strchr(" \t\r", line.at[line.size - 1])) line.size--;
    if (!line.size) return true;
    if (line.at[0] == '/' && !span_starts(line, span_of("//")))
        return command(t, line, err);
    if (line.at[0] == '/') line = span_slice(line, 1, line.size);
    return say(t, line, err);
}

bool chat_talk(const struct chat_talk_options *o, struct err *err) {
    struct talk t = {.o = *o};
    struct bytes line = {0};
    struct err first = {0};
    enum screen_line how;

    chat_screen_init(&t.screen);
    if (o->session)
        (void)snprintf(t.session, sizeof t.session, "%s", o->session);
    if (!(o->session ? read_record(&t, true, &first)
                     : new_session(&t, &first))) {
        *err = first;
        return false;
    }
    if (t.screen.input_tty)
        note(&t, "[/help lists the commands, Ctrl-D leaves]");
    do {
        how = chat_screen_read(&t.screen, "you: ", &line);
        if (how == SCREEN_TOO_LONG)
            note(&t, t.screen.input_tty
                         ? "[not sent: a terminal keeps 4 KiB of a line; "
                           "longer ones can be piped in, to 64 KiB]"
                         : "[not sent: a line past 64 KiB]");
    } while (how == SCREEN_INTERRUPTED || how == SCREEN_TOO_LONG ||
             (how == SCREEN_LINE && take_line(&t, span_bytes(&line), &first)));
    bytes_free(&line);
    if (first.code) *err = first;
    return !first.code;
}
