#include "base/sse.h"

#include <string.h>

enum { RETRY_DIGITS_MAX = 8 };

/* An id goes into a header of ours one day, so one that could not is none. */
static void take_id(struct sse *sse, struct span value) {
    sse->id[0] = '\0';
    if (value.size > SSE_ID_MAX) return;
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < ' ' || value.at[i] > '~') return;
    if (value.size) memcpy(sse->id, value.at, value.size);
    sse->id[value.size] = '\0';
}

static void take_retry(struct sse *sse, struct span value) {
    int ms = 0;

    if (!value.size || value.size > RETRY_DIGITS_MAX) return;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return;
        ms = 10 * ms + (value.at[i] - '0');
    }
    sse->retry_ms = ms;
}

/* One whole line without its end. A blank one ends the event. */
static bool take_line(struct sse *sse, struct span line,
                      bool (*on_data)(void *, struct span, struct err *),
                      void *user, struct err *err) {
    struct span value = span_of("");
    size_t colon;
    bool ok = true;

    if (!sse->begun) {
        if (span_starts(line, span_of("\xEF\xBB\xBF")))
            line = span_slice(line, 3, line.size);
        sse->begun = true;
    }
    if (line.size == 0) {
        if (sse->has_data) ok = on_data(user, span_bytes(&sse->data), err);
        sse->data.size = 0;
        sse->has_data = false;
        return ok;
    }
    colon = span_find(line, span_of(":"));
    if (colon != SIZE_MAX) {
        value = span_slice(line, colon + 1, line.size);
        if (span_starts(value, span_of(" ")))
            value = span_slice(value, 1, value.size);
        line = span_slice(line, 0, colon);
    }
    if (span_is(line, "id")) take_id(sse, value);
    if (span_is(line, "retry")) take_retry(sse, value);
    if (!span_is(line, "data")) return true;
    if (sse->has_data) ok = bytes_append(&sse->data, "\n", 1, err);
    sse->has_data = true;
    return ok && bytes_append(&sse->data, value.at, value.size, err);
}

/* Where in[from..) has the first of the byte, or the end. */
static size_t find_byte(struct span in, size_t from, char byte) {
    const char *at =
        from < in.size ? memchr(in.at + from, byte, in.size - from) : NULL;

    return at ? (size_t)(at - in.at) : in.size;
}

bool sse_feed(struct sse *sse, struct span in,
              bool (*on_data)(void *user, struct span data, struct err *err),
              void *user, struct err *err) {
    size_t feed = find_byte(in, 0, '\n'), back = find_byte(in, 0, '\r');

    sse->line.limit = SSE_EVENT_BYTES_MAX;
    sse->data.limit = SSE_EVENT_BYTES_MAX;
    for (size_t i = 0; i < in.size;) {
        struct span line;
        size_t from = i;

        if (sse->after_return && in.at[i] == '\n') from = i = i + 1;
        sse->after_return = false;
        /* Looked for once each, however the two alternate. */
        if (feed < i) feed = find_byte(in, i, '\n');
        if (back < i) back = find_byte(in, i, '\r');
        i = feed < back ? feed : back;
        line = span_slice(in, from, i);
        if (line.size > SSE_EVENT_BYTES_MAX - sse->line.size)
            return err_set(err, ERR_LIMIT, "a line past %d bytes",
                           SSE_EVENT_BYTES_MAX);
        if (sse->line.size || i == in.size) {
            if (!bytes_append(&sse->line, line.at, line.size, err))
                return false;
            line = span_bytes(&sse->line);
        }
        if (i == in.size) break;
        sse->after_return = in.at[i] == '\r';
        i++;
        if (!take_line(sse, line, on_data, user, err)) return false;
        sse->line.size = 0;
    }
    return true;
}

void sse_clear(struct sse *sse) {
    bytes_free(&sse->line);
    bytes_free(&sse->data);
    *sse = (struct sse){0};
}
