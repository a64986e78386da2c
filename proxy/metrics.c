#include "proxy/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MAX = 16, STATUS_COUNT = 20 };

/* Upper bounds in seconds, ascending; +Inf is implied. */
struct scale {
    int count;
    double bounds[BUCKETS_MAX];
};

struct histogram {
    uint64_t buckets[BUCKETS_MAX + 1]; /* not yet cumulative */
    double sum;
};

struct gauge {
    const char *name;
    const char *help;
    bool counter;
    double (*value)(void *user);
    void *user;
};

/* Of one check: a histogram for each outcome that there was. */
struct check_series {
    char id[METRICS_CHECK_SIZE];
    struct histogram *by_outcome[RESULT_COUNT];
};

struct metrics {
    struct check_series checks[METRICS_CHECKS_MAX + 1]; /* the last: others */
    int check_count;
    uint64_t reloads[PART_COUNT][2];                  /* [1]: read */
    uint64_t requests[ROUTE_COUNT][STATUS_COUNT + 1]; /* the last is "other" */
    struct histogram request_seconds[ROUTE_COUNT];
    uint64_t verdicts[METRICS_CHANNEL_COUNT][RESULT_COUNT];
    struct histogram guard_seconds[METRICS_CHANNEL_COUNT];
    uint64_t tokens[TOKENS_COUNT];
    struct histogram ttft;
    struct histogram model_ttft;
    struct gauge gauges[METRICS_GAUGES_MAX];
    int gauge_count;
    struct metrics *next; /* joined to this one, see metrics_join() */
    pthread_mutex_t lock; /* of all above but for gauges and `next` */
};

const char metrics_content_type[] = "text/plain; version=0.0.4; charset=utf-8";

static const char *const routes[ROUTE_COUNT] = {
    "chat",      "completions", "responses", "embeddings", "moderations",
    "decisions", "models",      "messages",  "ollama",     "guard",
    "sessions",  "approvals",   "health",    "metrics",    "admin",
    "console",   "other"};
static const char *const channels[METRICS_CHANNEL_COUNT] = {
    "input", "output", "tool_call", "tool_result"};
static const char *const results[RESULT_COUNT] = {
    "allowed", "blocked",     "asked",      "redacted",
    "flagged", "would_block", "unavailable"};
static const char *const parts[PART_COUNT] = {"policy", "keys", "certificate",
                                              "configuration"};
static const char *const kinds[TOKENS_COUNT] = {"prompt", "cached",
                                                "completion"};
static const int statuses[STATUS_COUNT] = {200, 204, 304, 400, 401, 403, 404,
                                           405, 408, 409, 413, 414, 415, 417,
                                           429, 431, 500, 502, 503, 504};

static const struct scale guard_scale = {
    13, {.0001, .0003, .001, .003, .01, .02, .05, .1, .2, .5, 1, 2, 5}};
/* Rules and entities take microseconds. */
static const struct scale check_scale = {
    13, {.00001, .00003, .0001, .0003, .001, .003, .01, .03, .1, .3, 1, 2, 5}};
static const struct scale answer_scale = {
    13, {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120}};

struct metrics *metrics_new(void) {
    struct metrics *m = xalloc(sizeof *m);

    (void)pthread_mutex_init(&m->lock, NULL);
    (void)snprintf(m->checks[METRICS_CHECKS_MAX].id, METRICS_CHECK_SIZE,
                   "other");
    return m;
}

void metrics_free(struct metrics *m) {
    if (!m) return;
    for (int i = 0; i <= METRICS_CHECKS_MAX; i++)
        for (int r = 0; r < RESULT_COUNT; r++) free(m->checks[i].by_outcome[r]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void metrics_request(struct metrics *m, enum metrics_route route, int status) {
    int i = 0;

    assert((unsigned)route < ROUTE_COUNT);
    while (i < STATUS_COUNT && statuses[i] != status) i++;
    pthread_mutex_lock(&m->lock);
    m->requests[route][i]++;
    pthread_mutex_unlock(&m->lock);
}

static void observe(struct histogram *h, const struct scale *scale,
                    double seconds) {
    int i = 0;

    /* Not a number, or before its own beginning: a broken clock. */
    if (!(seconds >= 0)) seconds = 0;
    while (i < scale->count && seconds > scale->bounds[i]) i++;
    h->buckets[i]++;
    h->sum += seconds;
}

static void observe_locked(struct metrics *m, struct histogram *h,
                           const struct scale *scale, double seconds) {
    pthread_mutex_lock(&m->lock);
    observe(h, scale, seconds);
    pthread_mutex_unlock(&m->lock);
}

void metrics_request_seconds(struct metrics *m, enum metrics_route route,
                             double seconds) {
    assert((unsigned)route < ROUTE_COUNT);
    observe_locked(m, &m->request_seconds[route], &answer_scale, seconds);
}

void metrics_verdict(struct metrics *m, enum metrics_channel channel,
                     enum metrics_result result, double seconds) {
    assert((unsigned)channel < METRICS_CHANNEL_COUNT);
    assert((unsigned)result < RESULT_COUNT);
    pthread_mutex_lock(&m->lock);
    m->verdicts[channel][result]++;
    observe(&m->guard_seconds[channel], &guard_scale, seconds);
    pthread_mutex_unlock(&m->lock);
}

/* An id is a policy's word, which its reader has checked; a quote or a line
 * break in it would make series of its own. */
static bool is_label(const char *id) {
    size_t size = strcspn(id, "\"\\\r\n");

    return size && !id[size] && size < METRICS_CHECK_SIZE;
}

static struct check_series *series_of(struct metrics *m, const char *id) {
    for (int i = 0; i < m->check_count; i++)
        if (!strcmp(m->checks[i].id, id)) return &m->checks[i];
    if (m->check_count == METRICS_CHECKS_MAX || !is_label(id))
        return &m->checks[METRICS_CHECKS_MAX];
    (void)snprintf(m->checks[m->check_count].id, METRICS_CHECK_SIZE, "%s", id);
    return &m->checks[m->check_count++];
}

void metrics_check(struct metrics *m, const char *id,
                   enum metrics_result outcome, double seconds) {
    struct histogram **h;

    assert((unsigned)outcome < RESULT_COUNT);
    pthread_mutex_lock(&m->lock);
    h = &series_of(m, id)->by_outcome[outcome];
    if (!*h) *h = xalloc(sizeof **h);
    observe(*h, &check_scale, seconds);
    pthread_mutex_unlock(&m->lock);
}

void metrics_reload(struct metrics *m, enum metrics_part part, bool ok) {
    assert((unsigned)part < PART_COUNT);
    pthread_mutex_lock(&m->lock);
    m->reloads[part][ok]++;
    pthread_mutex_unlock(&m->lock);
}

const char *metrics_route_name(enum metrics_route route) {
    return routes[route];
}

void metrics_tokens(struct metrics *m, enum metrics_tokens kind, int count) {
    assert((unsigned)kind < TOKENS_COUNT);
    if (count <= 0) return;
    pthread_mutex_lock(&m->lock);
    m->tokens[kind] += (uint64_t)count;
    pthread_mutex_unlock(&m->lock);
}

void metrics_ttft(struct metrics *m, double seconds) {
    observe_locked(m, &m->ttft, &answer_scale, seconds);
}

void metrics_model_ttft(struct metrics *m, double seconds) {
    observe_locked(m, &m->model_ttft, &answer_scale, seconds);
}

void metrics_gauge(struct metrics *m, const char *name, const char *help,
                   bool counter, double (*value)(void *user), void *user) {
    assert(m->gauge_count < METRICS_GAUGES_MAX);
    assert(!strncmp(name, "corral_", strlen("corral_")));
    m->gauges[m->gauge_count++] =
        (struct gauge){name, help, counter, value, user};
}

void metrics_gauges(const struct metrics *m, cJSON *out) {
    for (int i = 0; i < m->gauge_count; i++) {
        const struct gauge *g = &m->gauges[i];

        (void)cJSON_AddNumberToObject(out, g->name + strlen("corral_"),
                                      g->value(g->user));
    }
}

/* ---- several loops' as one ---- */

void metrics_join(struct metrics *m, struct metrics *other) {
    other->next = m->next;
    m->next = other;
}

static void add_counts(uint64_t *to, const uint64_t *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += from[i];
}

static void add_histograms(struct histogram *to, const struct histogram *from,
                           int count) {
    for (int i = 0; i < count; i++) {
        add_counts(to[i].buckets, from[i].buckets, BUCKETS_MAX + 1);
        to[i].sum += from[i].sum;
    }
}

static void add_checks(struct metrics *to, const struct metrics *from) {
    for (int i = 0; i <= METRICS_CHECKS_MAX; i++)
        for (int r = 0; r < RESULT_COUNT; r++) {
            const struct histogram *h = from->checks[i].by_outcome[r];
            struct histogram **sum;

            if (!h) continue;
            /* "other" is the name of the last and of none before it. */
            sum = i == METRICS_CHECKS_MAX
                      ? &to->checks[i].by_outcome[r]
                      : &series_of(to, from->checks[i].id)->by_outcome[r];
            if (!*sum) *sum = xalloc(sizeof **sum);
            add_histograms(*sum, h, 1);
        }
}

static void add_all(struct metrics *to, struct metrics *from) {
    pthread_mutex_lock(&from->lock);
    add_counts(to->reloads[0], from->reloads[0], PART_COUNT * 2);
    add_counts(to->requests[0], from->requests[0],
               ROUTE_COUNT * (STATUS_COUNT + 1));
    add_counts(to->verdicts[0], from->verdicts[0],
               METRICS_CHANNEL_COUNT * RESULT_COUNT);
    add_counts(to->tokens, from->tokens, TOKENS_COUNT);
    add_histograms(to->request_seconds, from->request_seconds, ROUTE_COUNT);
    add_histograms(to->guard_seconds, from->guard_seconds,
                   METRICS_CHANNEL_COUNT);
    add_histograms(&to->ttft, &from->ttft, 1);
    add_histograms(&to->model_ttft, &from->model_ttft, 1);
    add_checks(to, from);
    pthread_mutex_unlock(&from->lock);
}

/* All names and labels are ours, so the text has a size that we know. */
static void put(struct bytes *out, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(struct bytes *out, const char *format, ...) {
    char line[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    bytes_puts(out, line);
}

static void put_about(struct bytes *out, const char *name, const char *help,
                      const char *type) {
    put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* `label` is `route="chat"` or "". A series that never counted is left out
 * where it has a label. */
static void put_histogram(struct bytes *out, const char *name,
                          const char *label, const struct histogram *h,
                          const struct scale *scale) {
    const char *comma = *label ? "," : "";
    uint64_t total = 0;

    for (int i = 0; i <= scale->count; i++) total += h->buckets[i];
    if (*label && !total) return;
    total = 0;
    for (int i = 0; i < scale->count; i++) {
        total += h->buckets[i];
        put(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma,
            scale->bounds[i], total);
    }
    total += h->buckets[scale->count];
    put(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma,
        total);
    if (*label)
        put(out, "%s_sum{%s} %.9g\n%s_count{%s} %" PRIu64 "\n", name, label,
            h->sum, name, label, total);
    else
        put(out, "%s_sum %.9g\n%s_count %" PRIu64 "\n", name, h->sum, name,
            total);
}

static void put_histograms(struct bytes *out, const char *name,
                           const char *help, const char *key,
                           const char *const *values, int count,
                           const struct histogram *h,
                           const struct scale *scale) {
    char label[64];

    put_about(out, name, help, "histogram");
    for (int i = 0; i < count; i++) {
        (void)snprintf(label, sizeof label, "%s=\"%s\"", key, values[i]);
        put_histogram(out, name, label, &h[i], scale);
    }
}

static void put_requests(const struct metrics *m, struct bytes *out) {
    put_about(out, "corral_requests_total", "Requests answered.", "counter");
    for (int r = 0; r < ROUTE_COUNT; r++)
        for (int i = 0; i <= STATUS_COUNT; i++) {
            char status[16] = "other";

            if (!m->requests[r][i]) continue;
            if (i < STATUS_COUNT)
                (void)snprintf(status, sizeof status, "%d", statuses[i]);
            put(out,
                "corral_requests_total{route=\"%s\",status=\"%s\"} %" PRIu64
                "\n",
                routes[r], status, m->requests[r][i]);
        }
}

static void put_verdicts(const struct metrics *m, struct bytes *out) {
    put_about(out, "corral_verdicts_total", "Texts judged.", "counter");
    for (int c = 0; c < METRICS_CHANNEL_COUNT; c++)
        for (int r = 0; r < RESULT_COUNT; r++)
            put(out,
                "corral_verdicts_total{channel=\"%s\",result=\"%s\"} %" PRIu64
                "\n",
                channels[c], results[r], m->verdicts[c][r]);
}

static void put_checks(const struct metrics *m, struct bytes *out) {
    char label[METRICS_CHECK_SIZE + 48];

    put_about(out, "corral_check_seconds",
              "Time of a policy's check, by what came of it.", "histogram");
    for (int i = 0; i <= METRICS_CHECKS_MAX; i++)
        for (int r = 0; r < RESULT_COUNT; r++) {
            if (!m->checks[i].by_outcome[r]) continue;
            (void)snprintf(label, sizeof label, "check=\"%s\",outcome=\"%s\"",
                           m->checks[i].id, results[r]);
            put_histogram(out, "corral_check_seconds", label,
                          m->checks[i].by_outcome[r], &check_scale);
        }
}

static void put_reloads(const struct metrics *m, struct bytes *out) {
    put_about(out, "corral_reloads_total",
              "Files read again, and those kept as they were.", "counter");
    for (int i = 0; i < PART_COUNT; i++)
        for (int ok = 0; ok < 2; ok++)
            put(out,
                "corral_reloads_total{part=\"%s\",result=\"%s\"} %" PRIu64 "\n",
                parts[i], ok ? "read" : "kept", m->reloads[i][ok]);
}

static void print(const struct metrics *m, struct bytes *out) {
    put_requests(m, out);
    put_histograms(out, "corral_request_seconds",
                   "From a request's last byte to its answer's.", "route",
                   routes, ROUTE_COUNT, m->request_seconds, &answer_scale);
    put_verdicts(m, out);
    put_histograms(out, "corral_guard_seconds", "Time to a verdict.", "channel",
                   channels, METRICS_CHANNEL_COUNT, m->guard_seconds,
                   &guard_scale);
    put_checks(m, out);
    put_reloads(m, out);
    put_about(out, "corral_tokens_total", "Tokens of the model.", "counter");
    for (int i = 0; i < TOKENS_COUNT; i++)
        put(out, "corral_tokens_total{kind=\"%s\"} %" PRIu64 "\n", kinds[i],
            m->tokens[i]);
    put_about(out, "corral_ttft_seconds",
              "From a request's last byte to the first text sent.",
              "histogram");
    put_histogram(out, "corral_ttft_seconds", "", &m->ttft, &answer_scale);
    put_about(out, "corral_model_ttft_seconds",
              "From asking the model, here or upstream, to its first text.",
              "histogram");
    put_histogram(out, "corral_model_ttft_seconds", "", &m->model_ttft,
                  &answer_scale);
}

void metrics_print(struct metrics *m, struct bytes *out) {
    struct metrics *sum = metrics_new();

    for (struct metrics *one = m; one; one = one->next) add_all(sum, one);
    print(sum, out);
    metrics_free(sum);
    for (int i = 0; i < m->gauge_count; i++) {
        const struct gauge *g = &m->gauges[i];

        put_about(out, g->name, g->help, g->counter ? "counter" : "gauge");
        put(out, "%s %.15g\n", g->name, g->value(g->user));
    }
}
