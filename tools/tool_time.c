/* tool_time.c - what day and time it is, here or elsewhere. */
#include "tools/tool_builtin.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tools/zone.h"

bool time_text(struct span zone, int64_t wall_s, char *out, size_t out_size,
               struct err *err) {
    struct zone_offset offset = {.seconds = 0, .label = "UTC"};
    char stamp[32], weekday[16];
    time_t local;
    struct tm tm;
    int minutes;

    if (zone.size && !zone_at(zone, wall_s, &offset, err)) return false;
    local = (time_t)(wall_s + offset.seconds);
    if (!gmtime_r(&local, &tm) ||
        !strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm) ||
        !strftime(weekday, sizeof weekday, "%A", &tm))
        return err_set(err, ERR_INPUT, "a time that no calendar has");
    minutes = offset.seconds / 60;
    (void)snprintf(out, out_size, "%s %s (UTC%c%02d:%02d), %s", stamp,
                   offset.label, minutes < 0 ? '-' : '+',
                   (minutes < 0 ? -minutes : minutes) / 60,
                   (minutes < 0 ? -minutes : minutes) % 60, weekday);
    return true;
}

static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const cJSON *zone = cJSON_GetObjectItemCaseSensitive(arguments, "timezone");
    char text[128];
    struct err err = {0};
    bool ok;

    (void)tool;
    (void)context;
    ok = time_text(span_of(cJSON_IsString(zone) ? zone->valuestring : ""),
                   clock_wall_s(), text, sizeof text, &err);
    done(user, ok, span_of(ok ? text : err.text));
    return NULL;
}

static void cancel(struct tool_run *unused) {
    (void)unused;
}

const struct tool tool_time = {
    .name = "time",
    .description = "The current date, weekday and time, in UTC or in a time "
                   "zone.",
    .schema = "{\"type\":\"object\",\"properties\":{\"timezone\":{\"type\":"
              "\"string\",\"description\":\"IANA name, for example "
              "Europe/Rome; UTC when absent\",\"maxLength\":64}},"
              "\"additionalProperties\":false}",
    .idempotent = true,
    .run = run,
    .cancel = cancel,
};
