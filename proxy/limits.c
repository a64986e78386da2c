#include "proxy/limits.h"

#include <assert.h>
#include <string.h>

#define SIZE_LIMIT(key, least, most)                                           \
    { #key, offsetof(struct limits, key), false, least, most }
#define INT_LIMIT(key, least, most)                                            \
    { #key, offsetof(struct limits, key), true, least, most }

enum { HOUR_MS = 3600 * 1000 };

static const struct limit_name names[] = {
    SIZE_LIMIT(target_bytes_max, 16, 1 << 20),
    SIZE_LIMIT(header_bytes_max, 64, 1 << 20),
    INT_LIMIT(header_count_max, 1, 10000),
    SIZE_LIMIT(body_bytes_max, 1, 1 << 30),
    SIZE_LIMIT(bodies_bytes_max, 1, (int64_t)1 << 40),
    INT_LIMIT(connections_max, 1, 1 << 20),
    INT_LIMIT(address_requests_per_minute, 0, 1 << 20),
    INT_LIMIT(address_requests_max, 0, 1 << 20),
    INT_LIMIT(header_ms, 1, HOUR_MS),
    INT_LIMIT(body_ms, 1, HOUR_MS),
    INT_LIMIT(idle_ms, 1, HOUR_MS),
    INT_LIMIT(write_ms, 1, HOUR_MS),
    SIZE_LIMIT(write_high_bytes, 1, 1 << 30),
    SIZE_LIMIT(write_low_bytes, 0, 1 << 30),
    SIZE_LIMIT(write_bytes_max, 1, 1 << 30),
};

void limits_init(struct limits *l) {
    *l = (struct limits){.target_bytes_max = 8 << 10,
                         .header_bytes_max = 32 << 10,
                         .header_count_max = 100,
                         .body_bytes_max = 4 << 20,
                         .bodies_bytes_max = 256 << 20,
                         .connections_max = 1024,
                         .header_ms = 10 * 1000,
                         .body_ms = 30 * 1000,
                         .idle_ms = 75 * 1000,
                         .write_ms = 60 * 1000,
                         .write_high_bytes = 256 << 10,
                         .write_low_bytes = 64 << 10,
                         .write_bytes_max = 16 << 20};
}

const struct limit_name *limits_names(int *count) {
    *count = (int)(sizeof names / sizeof *names);
    return names;
}

void limits_set(struct limits *l, const struct limit_name *name,
                int64_t value) {
    char *at = (char *)l + name->offset;
    size_t size = (size_t)value;
    int number = (int)value;

    assert(value >= name->least && value <= name->most);
    if (name->is_int)
        memcpy(at, &number, sizeof number);
    else
        memcpy(at, &size, sizeof size);
}

int64_t limits_get(const struct limits *l, const struct limit_name *name) {
    const char *at = (const char *)l + name->offset;
    size_t size;
    int number;

    if (name->is_int) {
        memcpy(&number, at, sizeof number);
        return number;
    }
    memcpy(&size, at, sizeof size);
    return (int64_t)size;
}
