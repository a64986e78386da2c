#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic int level_least = LOG_INFO;

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

void log_event(enum log_level level, const char *event, const char *format,
               ...) {
    char line[1024], stamp[25];
    va_list args;
    size_t size;

    if ((int)level < atomic_load(&level_least) || level >= LOG_OFF) return;
    clock_stamp(stamp);
    (void)snprintf(line, sizeof line - 1, "time=%s level=%s event=%s ", stamp,
                   level_names[level], event);
    size = strlen(line);
    va_start(args, format);
    (void)vsnprintf(line + size, sizeof line - 1 - size, format, args);
    va_end(args);
    size = strlen(line);
    line[size++] = '\n';
    /* One write, so that lines of several threads do not mix. A log that
     * cannot be written is no reason to stop serving. */
    if (write(STDERR_FILENO, line, size) < 0) return;
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
