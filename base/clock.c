#include "base/clock.h"

#include <string.h>
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
    static _Thread_local struct {
        time_t s;
        char text[20];
    } last; /* most stamps are of the same second as the one before */
    unsigned ms;
    struct timespec t;
    struct tm utc;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (t.tv_sec != last.s || !*last.text) {
        (void)gmtime_r(&t.tv_sec, &utc);
        (void)strftime(last.text, sizeof last.text, "%Y-%m-%dT%H:%M:%S", &utc);
        last.s = t.tv_sec;
    }
    ms = (unsigned)(t.tv_nsec / 1000000);
    memcpy(out, last.text, sizeof last.text - 1);
    out[19] = '.';
    out[20] = (char)('0' + ms / 100 % 10);
    out[21] = (char)('0' + ms / 10 % 10);
    out[22] = (char)('0' + ms % 10);
    out[23] = 'Z';
    out[24] = '\0';
}

void clock_put_ms(uint64_t ns, char out[CLOCK_MS_SIZE]) {
    char room[BYTES_DIGITS_SIZE];
    uint64_t tenths = ns / 100000 + (ns % 100000 >= 50000);
    struct span whole = bytes_digits((int64_t)(tenths / 10), room);

    memcpy(out, whole.at, whole.size);
    out[whole.size] = '.';
    out[whole.size + 1] = (char)('0' + tenths % 10);
    out[whole.size + 2] = '\0';
}

bool clock_parse(struct span text, int64_t *ms) {
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    const int days = 10; /* bytes of a date alone */
    int number[6] = {0}, part = 0;
    struct tm t = {0}, back;
    time_t s;

    if (text.size != (size_t)days && text.size != sizeof form - 1) return false;
    for (size_t i = 0; i < text.size; i++) {
        bool digit = text.at[i] >= '0' && text.at[i] <= '9';

        if (form[i] == 'd' ? !digit : text.at[i] != form[i]) return false;
        if (digit)
            number[part] = number[part] * 10 + (text.at[i] - '0');
        else
            part++;
    }
    t.tm_year = number[0] - 1900;
    t.tm_mon = number[1] - 1;
    t.tm_mday = number[2];
    t.tm_hour = number[3];
    t.tm_min = number[4];
    t.tm_sec = number[5];
    back = t;
    s = timegm(&back);
    /* A 30th of February would be another day. */
    if (back.tm_mon != t.tm_mon || back.tm_mday != t.tm_mday ||
        back.tm_hour != t.tm_hour || back.tm_min != t.tm_min ||
        back.tm_sec != t.tm_sec || number[0] < 1970)
        return false;
    *ms = (int64_t)s * 1000;
    return true;
}
