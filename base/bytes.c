#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READY_MAX = 1032 };

static void *must(void *at) {
    if (!at) {
        (void)fputs("corral: out of memory\n", stderr);
        abort();
    }
    return at;
}

/* glibc's calloc() does not look among the pieces that its thread has ready, of
 * at most so many bytes; what is freed piles up there instead. */
void *xalloc(size_t size) {
    void *at;

    if (size > READY_MAX) return must(calloc(1, size));
    at = must(malloc(size ? size : 1));
    memset(at, 0, size);
    return at;
}

void *xalloc_array(size_t count, size_t size) {
    return must(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc_array(void *at, size_t count, size_t size) {
    return must(reallocarray(at, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *text) {
    return must(strdup(text));
}

struct span span_slice(struct span s, size_t from, size_t end) {
    if (end > s.size) end = s.size;
    if (from > end) from = end;
    return (struct span){s.at ? s.at + from : NULL, end - from};
}

bool span_blank(struct span s) {
    while (s.size && ascii_blank(s.at[s.size - 1])) s.size--;
    return !s.size;
}

bool span_starts(struct span s, struct span prefix) {
    return s.size >= prefix.size &&
           span_equal(span_slice(s, 0, prefix.size), prefix);
}

size_t span_find(struct span s, struct span needle) {
    const char *at;

    if (needle.size == 0) return 0;
    if (s.size < needle.size) return SIZE_MAX;
    at = memmem(s.at, s.size, needle.at, needle.size);
    return at ? (size_t)(at - s.at) : SIZE_MAX;
}

char *span_dup(struct span s) {
    char *copy = xalloc(s.size + 1);

    if (s.size) memcpy(copy, s.at, s.size);
    return copy;
}

bool bytes_reserve(struct bytes *b, size_t size, struct err *err) {
    size_t limit = b->limit ? b->limit : BYTES_LIMIT_DEFAULT;
    size_t capacity = b->capacity ? b->capacity : 256;

    if (bytes_have_room(b, size)) return true;
    if (b->size > limit || size > limit - b->size)
        return err_set(err, ERR_LIMIT, "text past %zu bytes", limit);
    while (capacity - b->size < size) capacity *= 2;
    b->at = xrealloc_array(b->at, capacity, 1);
    b->capacity = capacity;
    return true;
}

void bytes_expect(struct bytes *b, size_t size) {
    if (!bytes_reserve(b, size, NULL)) return;
}

bool bytes_printf(struct bytes *b, struct err *err, const char *format, ...) {
    size_t limit = b->limit ? b->limit : BYTES_LIMIT_DEFAULT, room;
    va_list args;
    int size;

    if (!strchr(format, '%'))
        return bytes_append(b, format, strlen(format), err);
    /* Most of what is printed has room already. */
    room = b->capacity < limit ? b->capacity : limit;
    room = room > b->size ? room - b->size : 0;
    va_start(args, format);
    size = vsnprintf(room ? b->at + b->size : NULL, room, format, args);
    va_end(args);
    if (size >= 0 && (size_t)size < room) {
        b->size += (size_t)size;
        return true;
    }
    if (size < 0) return err_set(err, ERR_INTERNAL, "bad format");
    /* One more than the text, for the NUL that vsnprintf writes. */
    if (!bytes_reserve(b, (size_t)size + 1, err)) return false;
    va_start(args, format);
    (void)vsnprintf(b->at + b->size, (size_t)size + 1, format, args);
    va_end(args);
    b->size += (size_t)size;
    return true;
}

void bytes_must_grow(struct bytes *b, size_t size) {
    struct err err; /* filled when it is read, and large */

    if (bytes_reserve(b, size, &err)) return;
    (void)fprintf(stderr, "corral: %s\n", err.text);
    abort();
}

struct span bytes_digits(int64_t value, char room[BYTES_DIGITS_SIZE]) {
    char *end = room + BYTES_DIGITS_SIZE, *at = end;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0) *--at = '-';
    return (struct span){at, (size_t)(end - at)};
}

void bytes_put_int(struct bytes *b, int64_t value) {
    char room[BYTES_DIGITS_SIZE];

    bytes_put(b, bytes_digits(value, room));
}

void bytes_drop(struct bytes *b, size_t size) {
    if (size >= b->size) {
        b->size = 0;
        return;
    }
    memmove(b->at, b->at + size, b->size - size);
    b->size -= size;
}

bool bytes_read_fd(struct bytes *b, int fd, const char *name, struct err *err) {
    size_t limit = b->limit ? b->limit : BYTES_LIMIT_DEFAULT;

    for (;;) {
        ssize_t got;

        /* One byte past the limit is asked for, to tell "full" from "more". */
        if (b->size >= limit) {
            char more;

            got = read(fd, &more, 1);
            if (got > 0)
                return err_set(err, ERR_LIMIT, "%s: past %zu bytes", name,
                               limit);
        } else {
            size_t want = limit - b->size < 65536 ? limit - b->size : 65536;

            if (!bytes_reserve(b, want, err)) return false;
            got = read(fd, b->at + b->size, want);
        }
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
        if (got == 0) return true;
        b->size += (size_t)got;
    }
}

bool bytes_read_file(struct bytes *b, const char *path, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s",
                       path, strerror(errno));
    b->size = 0;
    ok = bytes_read_fd(b, fd, path, err);
    (void)close(fd);
    return ok;
}

void bytes_free(struct bytes *b) {
    size_t limit = b->limit;

    free(b->at);
    *b = (struct bytes){.limit = limit};
}
