#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_json.h"

enum { LINE_SIZE = 1024, JSON_SIZE = 2048, GATHERED_SIZE = PIPE_BUF };

static _Atomic int level_least = LOG_INFO;
static _Atomic int format_now = LOG_LOGFMT;
static atomic_ullong lines_lost;

static _Thread_local struct {
    bool on;
    unsigned lines;
    size_t size;
    char text[GATHERED_SIZE];
} gathered;

static const char *const level_names[] = {"debug", "info", "warn", "error",
                                          "off"};

void log_set_level(enum log_level level) {
    atomic_store(&level_least, (int)level);
}

const char *log_level_name(enum log_level level) {
    return level_names[level];
}

bool log_level_from_name(const char *name, enum log_level *out) {
    for (int i = LOG_DEBUG; i <= LOG_OFF; i++) {
        if (strcmp(name, level_names[i]) != 0) continue;
        *out = (enum log_level)i;
        return true;
    }
    return false;
}

void log_set_format(enum log_format format) {
    atomic_store(&format_now, (int)format);
}

bool log_format_from_name(const char *name, enum log_format *out) {
    static const char *const names[] = {"logfmt", "json"};

    for (int i = LOG_LOGFMT; i <= LOG_JSON; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (enum log_format)i;
        return true;
    }
    return false;
}

bool log_wants(enum log_level level) {
    return (int)level >= atomic_load(&level_least) && level < LOG_OFF;
}

unsigned long long log_lost(void) {
    return atomic_load(&lines_lost);
}

/* One write, so that lines of several threads do not mix. A pipe that nobody
 * reads would hold up whoever writes, the event loop for one; and a log that
 * cannot be written is no reason to stop serving. */
static void write_lines(const char *text, size_t size, unsigned lines) {
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) &&
        write(STDERR_FILENO, text, size) == (ssize_t)size)
        return;
    atomic_fetch_add(&lines_lost, lines);
}

void log_flush(void) {
    if (!gathered.size) return;
    write_lines(gathered.text, gathered.size, gathered.lines);
    gathered.size = 0;
    gathered.lines = 0;
}

void log_gather(bool on) {
    gathered.on = on;
    if (!on) log_flush();
}

static void put_line(enum log_level level, const char *line, size_t size) {
    if (!gathered.on) {
        write_lines(line, size, 1);
        return;
    }
    if (size > sizeof gathered.text - gathered.size) log_flush();
    memcpy(gathered.text + gathered.size, line, size);
    gathered.size += size;
    gathered.lines++;
    if (level >= LOG_WARN) log_flush();
}

static size_t put_part(char *line, size_t size, const char *key,
                       const char *value) {
    for (int i = 0; i < 2; i++) {
        const char *part = i ? value : key;
        size_t length = strlen(part), room = LINE_SIZE - 1 - size;

        if (length > room) length = room;
        memcpy(line + size, part, length);
        size += length;
    }
    return size;
}

static size_t put_head(char line[LINE_SIZE], const char *stamp,
                       const char *level, const char *event) {
    size_t size = put_part(line, 0, "time=", stamp);

    size = put_part(line, size, " level=", level);
    size = put_part(line, size, " event=", event);
    return put_part(line, size, " ", "");
}

void log_event(enum log_level level, const char *event, const char *format,
               ...) {
    char line[LINE_SIZE], json[JSON_SIZE], stamp[25];
    va_list args;
    size_t size;

    if (!log_wants(level)) return;
    clock_stamp(stamp);
    size = put_head(line, stamp, level_names[level], event);
    va_start(args, format);
    (void)vsnprintf(line + size, sizeof line - 1 - size, format, args);
    va_end(args);
    if (atomic_load(&format_now) == LOG_JSON) {
        size = log_json(line, json, sizeof json - 1);
        json[size++] = '\n';
        put_line(level, json, size);
        return;
    }
    size = strlen(line);
    line[size++] = '\n';
    put_line(level, line, size);
}

const char *log_quote(const char *text, char *out, size_t out_size) {
    size_t size = 0;

    if (out_size < 3) return "";
    out[size++] = '"';
    /* Room for the longest escape, the closing quote and the NUL. */
    for (; *text && size + 6 < out_size; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            out[size++] = '\\';
            out[size++] = (char)c;
        } else if (c < 0x20 || c == 0x7F) {
            size += (size_t)snprintf(out + size, out_size - size, "\\x%02x", c);
        } else {
            out[size++] = (char)c;
        }
    }
    out[size++] = '"';
    out[size] = '\0';
    return out;
}
