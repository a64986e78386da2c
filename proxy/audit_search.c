#include "proxy/audit_search.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

/* ---- the query ---- */

static bool whole_number(struct span s, int64_t most, int64_t *out) {
    int64_t n = 0;

    if (!s.size || s.size > 18) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') return false;
        n = n * 10 + (s.at[i] - '0');
    }
    *out = n;
    return n <= most;
}

static bool is_word(struct span s) {
    for (size_t i = 0; i < s.size; i++) {
        char c = s.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return s.size && s.size <= AUDIT_WORD_MAX;
}

static bool read_time(const char *name, struct span value, int64_t *out,
                      struct err *err) {
    if (whole_number(value, INT64_MAX, out) || clock_parse(value, out))
        return true;
    return err_set_field(err, ERR_INPUT, name,
                         "%s: neither milliseconds nor 2026-11-28 nor "
                         "2026-11-28T10:00:00Z",
                         name);
}

static bool read_count(const char *name, struct span value, int64_t most,
                       int64_t *out, struct err *err) {
    if (whole_number(value, most, out) && *out > 0) return true;
    return err_set_field(err, ERR_INPUT, name,
                         "%s: not a number from 1 to %" PRId64, name, most);
}

static bool read_pair(struct audit_search *s, struct span name,
                      struct span value, struct err *err) {
    const struct {
        const char *name;
        char *at;
    } words[] = {{"kind", s->kind},       {"action", s->action},
                 {"channel", s->channel}, {"key", s->key},
                 {"request", s->request}, {"check", s->check}};
    int64_t limit;

    if (span_is(name, "from"))
        return read_time("from", value, &s->from_ms, err);
    if (span_is(name, "until"))
        return read_time("until", value, &s->end_ms, err);
    if (span_is(name, "before"))
        return read_count("before", value, INT64_MAX, &s->before, err);
    if (span_is(name, "limit")) {
        if (!read_count("limit", value, AUDIT_SEARCH_ROWS_MAX, &limit, err))
            return false;
        s->rows_max = (int)limit;
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!span_is(name, words[i].name)) continue;
        if (!is_word(value))
            return err_set_field(err, ERR_INPUT, words[i].name,
                                 "%s: 1 to %d letters, digits, - _ .",
                                 words[i].name, AUDIT_WORD_MAX);
        memcpy(words[i].at, value.at, value.size);
        words[i].at[value.size] = '\0';
        return true;
    }
    return err_set(err, ERR_INPUT, "unknown parameter \"%.*s\"",
                   name.size > 32 ? 32 : (int)name.size, name.at);
}

bool audit_search_parse(struct audit_search *out, struct span query,
                        struct err *err) {
    struct audit_search s = {.end_ms = INT64_MAX, .rows_max = 100};

    while (query.size) {
        size_t end = span_find(query, span_of("&")), mark;
        struct span pair = span_slice(query, 0, end);

        mark = span_find(pair, span_of("="));
        if (mark == SIZE_MAX) mark = pair.size;
        if (pair.size && !read_pair(&s, span_slice(pair, 0, mark),
                                    span_slice(pair, mark + 1, pair.size), err))
            return false;
        query = span_slice(query, end == SIZE_MAX ? query.size : end + 1,
                           query.size);
    }
    *out = s;
    return true;
}

/* ---- the rows ---- */

static bool is(const cJSON *row, const char *member, const char *want) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, member);

    return !*want || (cJSON_IsString(item) && !strcmp(item->valuestring, want));
}

static bool found_by(const cJSON *row, const char *check) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(row, "findings");
    const cJSON *item;

    if (!*check) return true;
    cJSON_ArrayForEach(item, list) if (is(item, "check", check)) return true;
    return false;
}

static bool matches(const struct audit_search *s, struct span text) {
    cJSON *row;
    bool ok;

    if (!*s->kind && !*s->action && !*s->channel && !*s->key && !*s->request &&
        !*s->check)
        return true;
    row = json_parse(text, NULL);
    ok = row && is(row, "kind", s->kind) && is(row, "action", s->action) &&
         is(row, "channel", s->channel) && is(row, "key", s->key) &&
         is(row, "request", s->request) && found_by(row, s->check);
    cJSON_Delete(row);
    return ok;
}

/* *next: the last row looked at, when there may be more behind it. */
static bool walk(const struct audit_search *s, struct db_statement *q,
                 struct bytes *out, int64_t *next, struct err *err) {
    int count = 0;

    *next = 0;
    for (int seen = 0; seen < AUDIT_SEARCH_SCAN_MAX; seen++) {
        struct span text;
        bool row;

        if (!db_step(q, &row, err)) return false;
        if (!row) {
            *next = 0;
            return true;
        }
        *next = db_int(q, 0);
        text = db_text(q, 1);
        if (!matches(s, text)) continue;
        if ((count && !bytes_append(out, ",", 1, err)) ||
            !bytes_append(out, text.at, text.size, err))
            break;
        if (++count == s->rows_max) break;
    }
    db_done(q);
    return err->code == ERR_NONE;
}

bool audit_search_run(const struct audit_search *s, struct db *db,
                      struct bytes *out, struct err *err) {
    struct db_statement *q =
        db_use(db,
               "SELECT seq, row FROM rows WHERE seq < ? AND at >= ? AND at < ?"
               " ORDER BY seq DESC",
               err);
    int64_t next;

    if (!q) return false;
    db_bind_int(q, 1, s->before ? s->before : INT64_MAX);
    db_bind_int(q, 2, s->from_ms);
    db_bind_int(q, 3, s->end_ms);
    *err = (struct err){0};
    if (!bytes_printf(out, err, "{\"object\":\"list\",\"data\":[") ||
        !walk(s, q, out, &next, err))
        return false;
    return next ? bytes_printf(out, err, "],\"next\":%" PRId64 "}", next)
                : bytes_printf(out, err, "],\"next\":null}");
}
