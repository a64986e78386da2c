#include "tools/zone.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ZONE_FOLDER "/usr/share/zoneinfo/"

enum { TZIF_HEADER = 44, DAY_SECONDS = 86400 };

/* ---- the name ---- */

/* Letters, digits, _ + - in parts between single slashes: with no dot in it, a
 * name cannot climb, and nothing hidden and no list file can be named. */
static bool name_valid(struct span name) {
    char before = '/';

    if (name.size == 0 || name.size > ZONE_NAME_MAX) return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (c == '/' && before == '/') return false;
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '+' &&
            c != '-' && c != '/')
            return false;
        before = c;
    }
    return before != '/';
}

/* ---- the table ---- */

struct block {
    const unsigned char *times;   /* time_size bytes each */
    const unsigned char *indexes; /* one a time */
    const unsigned char *types;   /* 6 bytes each */
    const char *labels;
    size_t time_count;
    size_t type_count;
    size_t label_bytes;
    size_t time_size;
};

static uint64_t big_endian(const unsigned char *at, size_t size) {
    uint64_t value = 0;

    while (size--) value = value << 8 | *at++;
    return value;
}

/* Reads the block that begins at *at and steps over it. */
static bool block_read(struct span file, size_t *at, size_t time_size,
                       struct block *out) {
    const unsigned char *head = (const unsigned char *)file.at + *at;
    size_t count[6], need;

    if (file.size - *at < TZIF_HEADER || memcmp(head, "TZif", 4) != 0)
        return false;
    for (size_t i = 0; i < 6; i++) {
        count[i] = (size_t)big_endian(head + 20 + i * 4, 4);
        if (count[i] > file.size) return false;
    }
    need = count[3] * (time_size + 1) + count[4] * 6 + count[5] +
           count[2] * (time_size + 4) + count[1] + count[0];
    if (need > file.size - *at - TZIF_HEADER || count[4] == 0) return false;
    *out = (struct block){.times = head + TZIF_HEADER,
                          .time_count = count[3],
                          .type_count = count[4],
                          .label_bytes = count[5],
                          .time_size = time_size};
    out->indexes = out->times + count[3] * time_size;
    out->types = out->indexes + count[3];
    out->labels = (const char *)(out->types + count[4] * 6);
    *at += TZIF_HEADER + need;
    return true;
}

static bool block_type(const struct block *b, size_t index,
                       struct zone_offset *out) {
    const unsigned char *type;
    int64_t seconds;
    size_t size;

    if (index >= b->type_count) return false;
    type = b->types + index * 6;
    seconds = (int32_t)(uint32_t)big_endian(type, 4);
    if (seconds < -2 * DAY_SECONDS || seconds > 2 * DAY_SECONDS) return false;
    if (type[5] >= b->label_bytes) return false;
    size = strnlen(b->labels + type[5], b->label_bytes - type[5]);
    if (size > ZONE_LABEL_MAX) return false;
    *out = (struct zone_offset){.seconds = (int)seconds};
    memcpy(out->label, b->labels + type[5], size);
    return true;
}

/* How many transitions are at or before `wall_s`. */
static size_t block_passed(const struct block *b, int64_t wall_s) {
    size_t passed = 0;

    while (passed < b->time_count) {
        const unsigned char *at = b->times + passed * b->time_size;
        int64_t time = b->time_size == 4 ? (int32_t)(uint32_t)big_endian(at, 4)
                                         : (int64_t)big_endian(at, 8);

        if (time > wall_s) break;
        passed++;
    }
    return passed;
}

/* ---- the footer: the rule for all later years ---- */

static bool take(struct span *s, char c) {
    if (!s->size || s->at[0] != c) return false;
    *s = span_slice(*s, 1, s->size);
    return true;
}

static bool take_number(struct span *s, int most, int *out) {
    int value = 0;
    size_t digits = 0;

    while (s->size && s->at[0] >= '0' && s->at[0] <= '9') {
        value = value * 10 + (s->at[0] - '0');
        if (++digits > 3 || value > most) return false;
        *s = span_slice(*s, 1, s->size);
    }
    *out = value;
    return digits > 0;
}

/* [+-]h[:mm[:ss]] */
static bool take_clock(struct span *s, int *out) {
    bool minus = take(s, '-');
    int hours = 0, minutes = 0, seconds = 0;

    if (!minus) (void)take(s, '+');
    if (!take_number(s, 167, &hours)) return false;
    if (take(s, ':') && !take_number(s, 59, &minutes)) return false;
    if (take(s, ':') && !take_number(s, 59, &seconds)) return false;
    *out = (hours * 3600 + minutes * 60 + seconds) * (minus ? -1 : 1);
    return true;
}

static bool take_label(struct span *s, char out[ZONE_LABEL_MAX + 1]) {
    bool quoted = take(s, '<');
    size_t size = 0;

    while (s->size) {
        char c = s->at[0];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '-';

        if (!letter && !(quoted && other)) break;
        if (size == ZONE_LABEL_MAX) return false;
        out[size++] = c;
        *s = span_slice(*s, 1, s->size);
    }
    out[size] = '\0';
    return size >= 3 && (!quoted || take(s, '>'));
}

struct change {
    int month; /* from 1 */
    int week;  /* 5: the last */
    int day;   /* 0: Sunday */
    int clock; /* seconds of the local day */
};

/* ,Mm.w.d[/time]: the only form that the database uses today. */
static bool take_change(struct span *s, struct change *out) {
    out->clock = 2 * 3600;
    if (!take(s, ',') || !take(s, 'M') || !take_number(s, 12, &out->month) ||
        !take(s, '.') || !take_number(s, 5, &out->week) || !take(s, '.') ||
        !take_number(s, 6, &out->day) || out->month < 1 || out->week < 1)
        return false;
    return !take(s, '/') || take_clock(s, &out->clock);
}

/* Days from 1970-01-01 to the first of a month. */
static int64_t month_start(int64_t year, int month) {
    struct tm tm = {
        .tm_year = (int)(year - 1900), .tm_mon = month - 1, .tm_mday = 1};

    return timegm(&tm) / DAY_SECONDS;
}

/* The moment of a change in `year`, by a clock that is `offset` from UTC. */
static int64_t change_at(const struct change *c, int64_t year, int offset) {
    int64_t first = month_start(year, c->month);
    int64_t next = c->month == 12 ? month_start(year + 1, 1)
                                  : month_start(year, c->month + 1);
    int64_t weekday = (first + 4) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (c->day - weekday + 7) % 7 + 7 * (c->week - 1);

    if (day >= next) day -= 7;
    return day * DAY_SECONDS + c->clock - offset;
}

static bool footer_at(struct span rule, int64_t wall_s,
                      struct zone_offset *out) {
    struct zone_offset plain = {0}, summer = {0};
    struct change begin, end;
    time_t shifted;
    struct tm tm;
    int64_t from, to;
    bool is_summer;

    if (!take_label(&rule, plain.label) || !take_clock(&rule, &plain.seconds))
        return false;
    plain.seconds = -plain.seconds; /* POSIX counts westwards */
    *out = plain;
    if (!rule.size) return true;
    if (!take_label(&rule, summer.label)) return false;
    summer.seconds = plain.seconds + 3600;
    if (rule.size && rule.at[0] != ',') {
        if (!take_clock(&rule, &summer.seconds)) return false;
        summer.seconds = -summer.seconds;
    }
    if (!take_change(&rule, &begin) || !take_change(&rule, &end) || rule.size)
        return false;
    shifted = (time_t)(wall_s + plain.seconds);
    if (!gmtime_r(&shifted, &tm)) return false;
    from = change_at(&begin, 1900 + (int64_t)tm.tm_year, plain.seconds);
    to = change_at(&end, 1900 + (int64_t)tm.tm_year, summer.seconds);
    is_summer = from < to ? wall_s >= from && wall_s < to
                          : wall_s >= from || wall_s < to;
    if (is_summer) *out = summer;
    return true;
}

/* ---- a file ---- */

bool zone_from_file(struct span file, int64_t wall_s, struct zone_offset *out,
                    struct err *err) {
    struct zone_offset offset;
    struct block block;
    size_t at = 0, passed;
    bool ok;

    if (file.size < TZIF_HEADER || !block_read(file, &at, 4, &block))
        return err_set(err, ERR_INPUT, "not a time zone file");
    if (file.at[4] >= '2' && !block_read(file, &at, 8, &block))
        return err_set(err, ERR_INPUT, "a broken time zone file");
    passed = block_passed(&block, wall_s);
    if (passed == block.time_count && file.at[4] >= '2' && at < file.size) {
        struct span rule = span_slice(file, at + 1, file.size);
        size_t size = span_find(rule, span_of("\n"));

        /* An empty footer says that the last line of the table stays. */
        if (size != SIZE_MAX && size > 0) {
            if (!footer_at(span_slice(rule, 0, size), wall_s, &offset))
                return err_set(err, ERR_INPUT, "a broken time zone rule");
            *out = offset;
            return true;
        }
    }
    ok = block_type(&block, passed ? block.indexes[passed - 1] : 0, &offset);
    if (!ok) return err_set(err, ERR_INPUT, "a broken time zone file");
    *out = offset;
    return true;
}

/* Reading a few kB of a system file on the event loop is an exception to the
 * rule that nothing there touches a disk: they are in the page cache. */
bool zone_at(struct span name, int64_t wall_s, struct zone_offset *out,
             struct err *err) {
    struct bytes file = {.limit = ZONE_FILE_BYTES_MAX};
    char path[sizeof ZONE_FOLDER + ZONE_NAME_MAX];
    bool ok;

    if (!name_valid(name))
        return err_set(err, ERR_INPUT,
                       "a time zone is a name such as Europe/Rome");
    (void)snprintf(path, sizeof path, ZONE_FOLDER "%.*s", (int)name.size,
                   name.at);
    ok = bytes_read_file(&file, path, NULL) &&
         zone_from_file(span_bytes(&file), wall_s, out, NULL);
    bytes_free(&file);
    return ok || err_set(err, ERR_INPUT,
                         "there is no time zone \"%.*s\"; use a name of the tz "
                         "database, such as Europe/Rome",
                         (int)name.size, name.at);
}
