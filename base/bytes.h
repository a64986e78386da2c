/* bytes.h - text borrowed (span) and text owned (bytes). Neither is assumed
 * to be NUL-terminated, neither is assumed to be UTF-8. */
#ifndef CORRAL_BASE_BYTES_H
#define CORRAL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct span {
    const char *at;
    size_t size;
};

/* A growing buffer. All zero but `limit` is a valid empty buffer; a limit of
 * zero means BYTES_LIMIT_DEFAULT. */
struct bytes {
    char *at;
    size_t size;
    size_t capacity;
    size_t limit;
};

enum {
    BYTES_LIMIT_DEFAULT = 64 << 20,
    BYTES_DIGITS_SIZE = 20 /* of any whole number of 64 bits, with its sign */
};

/* Allocate or abort: for small sizes that no client can influence. Zeroed. */
void *xalloc(size_t size) __attribute__((malloc, returns_nonnull));
/* The same for count * size, checked for overflow. Zeroed. */
void *xalloc_array(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
/* Grow an array that was allocated by xalloc_array(); new part not zeroed. */
void *xrealloc_array(void *at, size_t count, size_t size)
    __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));

/* A request goes through the small ones a few hundred times, and most of what
 * they are given the compiler knows: they are put in where they are called. */

/* Borrows; `text` may be NULL. */
static inline struct span span_of(const char *text) {
    return (struct span){text, text ? strlen(text) : 0};
}
/* Borrowed until b changes. */
static inline struct span span_bytes(const struct bytes *b) {
    return (struct span){b->at, b->size};
}
struct span span_slice(struct span s, size_t from, size_t end); /* clamped */
static inline bool span_equal(struct span a, struct span b) {
    return a.size == b.size && (a.size == 0 || !memcmp(a.at, b.at, a.size));
}
/* Of ASCII's capital letters the small one; any other byte as it is. */
static inline char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
/* A space, a tab, or what ends a line or a page. */
static inline bool ascii_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
bool span_blank(struct span s); /* nothing else, or nothing at all */
static inline bool span_is(struct span s, const char *text) {
    return span_equal(s, span_of(text));
}
bool span_starts(struct span s, struct span prefix);
/* Index of the first `needle`, or SIZE_MAX. An empty needle is at 0. */
size_t span_find(struct span s, struct span needle);
/* A NUL-terminated copy, the caller frees. */
char *span_dup(struct span s) __attribute__((returns_nonnull));

/* Room for `size` more bytes in one piece. */
MUST_USE bool bytes_reserve(struct bytes *b, size_t size, struct err *err);
/* As there is for nearly all that is appended. */
static inline bool bytes_have_room(const struct bytes *b, size_t size) {
    size_t limit = b->limit ? b->limit : BYTES_LIMIT_DEFAULT;

    return size <= b->capacity - b->size && b->size + size <= limit;
}
/* Append; ERR_LIMIT past the limit, and then nothing was appended. */
MUST_USE static inline bool bytes_append(struct bytes *b, const void *at,
                                         size_t size, struct err *err) {
    if (!bytes_have_room(b, size) && !bytes_reserve(b, size, err)) return false;
    if (size) memcpy(b->at + b->size, at, size);
    b->size += size;
    return true;
}
MUST_USE static inline bool bytes_add(struct bytes *b, const char *text,
                                      struct err *err) {
    return bytes_append(b, text, strlen(text), err);
}
MUST_USE bool bytes_printf(struct bytes *b, struct err *err, const char *format,
                           ...) PRINTF_LIKE(3, 4);
/* The same for text of our own whose size we know to be within the limit:
 * aborts instead of failing. */
void bytes_must_grow(struct bytes *b, size_t size);
static inline void bytes_put(struct bytes *b, struct span s) {
    if (!bytes_have_room(b, s.size)) bytes_must_grow(b, s.size);
    if (s.size) memcpy(b->at + b->size, s.at, s.size);
    b->size += s.size;
}
static inline void bytes_puts(struct bytes *b, const char *text) {
    bytes_put(b, span_of(text));
}
void bytes_put_int(struct bytes *b, int64_t value);
/* The number in digits: a part of `room`. */
struct span bytes_digits(int64_t value, char room[BYTES_DIGITS_SIZE]);
/* About so many bytes more will come: room for them is made at once. What will
 * not fit is told where it is appended. */
void bytes_expect(struct bytes *b, size_t size);
/* Drop the first `size` bytes, keeping the rest. */
void bytes_drop(struct bytes *b, size_t size);
/* Replace the content by a whole file; ERR_LIMIT past the limit. */
MUST_USE bool bytes_read_file(struct bytes *b, const char *path,
                              struct err *err);
/* Whatever is left on a stream such as standard input. `name` for errors. */
MUST_USE bool bytes_read_fd(struct bytes *b, int fd, const char *name,
                            struct err *err);
void bytes_free(struct bytes *b); /* leaves an empty buffer */

#endif
