/* tool_distance.c - how far two places are from each other: a tool of one's
 * own. It is built in with cmake -DCORRAL_TOOLS=.../tool_distance.c, and listed
 * in the configuration as `distance` or `distance: {unit: mi}`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/options.h"

#define EARTH_KM 6371.0
#define DEGREE 0.017453292519943295

struct distance {
    struct tool tool; /* first: close() frees both */
    const char *unit;
    double km; /* in one unit */
};

/* Latitude and longitude of a place, in radians. False when a model thought of
 * a place that no globe has; what the schema says need not be checked. */
static bool place_of(const cJSON *arguments, const char *name, double out[2]) {
    const cJSON *pair = cJSON_GetObjectItemCaseSensitive(arguments, name);

    for (int i = 0; i < 2; i++)
        out[i] = cJSON_GetArrayItem(pair, i)->valuedouble * DEGREE;
    return fabs(out[0]) <= 90 * DEGREE && fabs(out[1]) <= 180 * DEGREE;
}

/* Along a great circle. */
static double distance_km(const double from[2], const double to[2]) {
    double up = sin((to[0] - from[0]) / 2);
    double along = sin((to[1] - from[1]) / 2);
    double part = up * up + cos(from[0]) * cos(to[0]) * along * along;

    return 2 * EARTH_KM * asin(sqrt(fmin(part, 1)));
}

/* Quick enough to answer at once, so there is no run and nothing to cancel.
 * What waits must not do it here: this is the event loop's thread. */
static struct tool_run *run(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const struct distance *self = tool->self;
    double from[2], to[2];
    char text[64];

    (void)context;
    if (!place_of(arguments, "from", from) || !place_of(arguments, "to", to)) {
        done(user, false,
             span_of("a place is [latitude, longitude]: -90 to 90, then "
                     "-180 to 180"));
        return NULL;
    }
    (void)snprintf(text, sizeof text, "%.0f %s",
                   distance_km(from, to) / self->km, self->unit);
    done(user, true, span_of(text));
    return NULL;
}

static void cancel(struct tool_run *none) {
    (void)none;
}

static void distance_close(struct tool *tool) {
    free(tool->self);
}

#define PLACE                                                                  \
    "{\"type\": \"array\", \"items\": {\"type\": \"number\"}, "                \
    "\"minItems\": 2, \"maxItems\": 2}"

static const char schema[] =
    "{\"type\": \"object\", \"properties\": {\"from\": " PLACE
    ", \"to\": " PLACE
    "}, \"required\": [\"from\", \"to\"], \"additionalProperties\": false}";

tool_open distance_open;

struct tool *distance_open(const struct tool_options *o, struct err *err) {
    static const char *const keys[] = {"unit", NULL};
    const char *unit = "km";
    struct distance *self;

    if (!option_only(o, keys, err) || !option_text(o, "unit", &unit, err))
        return NULL;
    if (strcmp(unit, "km") != 0 && strcmp(unit, "mi") != 0) {
        (void)option_fail(o, option_get(o, "unit"), err,
                          "unit must be km or mi");
        return NULL;
    }
    self = xalloc(sizeof *self);
    self->unit = strcmp(unit, "km") ? "mi" : "km";
    self->km = strcmp(unit, "km") ? 1.609344 : 1;
    self->tool = (struct tool){
        .name = "distance",
        .description = "How far it is from one place to another, each as "
                       "[latitude, longitude] in degrees.",
        .schema = schema,
        .idempotent = true,
        .self = self,
        .run = run,
        .cancel = cancel,
        .close = distance_close,
    };
    return &self->tool;
}
