#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_ns(void) {
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_ms(void) {
    return clock_ns() / 1000000u;
}

int64_t clock_wall_s(void) {
    struct timespec t;

    /* time() may still be in the last second when a stamp is in the next. */
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec;
}

void clock_stamp(char out[25]) {
    struct timespec t;
    struct tm utc;
    char head[20];

    (void)clock_gettime(CLOCK_REALTIME, &t);
    (void)gmtime_r(&t.tv_sec, &utc);
    (void)strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, 25, "%s.%03uZ", head,
                   (unsigned)(t.tv_nsec / 1000000) % 1000u);
}
