/* metrics.h - counters, gauges and histograms in Prometheus' text format, with
 * fixed label sets so that no client can make a series. Each event loop counts
 * in its own, which another one may print; gauges are the printing loop's. */
#ifndef CORRAL_PROXY_METRICS_H
#define CORRAL_PROXY_METRICS_H

#include "base/json.h"

struct metrics; /* opaque */

enum metrics_route {
    ROUTE_CHAT,
    ROUTE_COMPLETIONS,
    ROUTE_RESPONSES,
    ROUTE_EMBEDDINGS,
    ROUTE_MODERATIONS,
    ROUTE_DECISIONS,
    ROUTE_MODELS,
    ROUTE_MESSAGES,
    ROUTE_OLLAMA,
    ROUTE_GUARD,
    ROUTE_SESSIONS,
    ROUTE_APPROVALS,
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_ADMIN,
    ROUTE_CONSOLE,
    ROUTE_OTHER,
    ROUTE_COUNT
};

enum metrics_channel {
    METRICS_INPUT,
    METRICS_OUTPUT,
    METRICS_TOOL_CALL,
    METRICS_TOOL_RESULT,
    METRICS_CHANNEL_COUNT
};

enum metrics_result {
    RESULT_ALLOWED,
    RESULT_BLOCKED,
    RESULT_ASKED, /* a tool call that a person decides about */
    RESULT_REDACTED,
    RESULT_FLAGGED,
    RESULT_WOULD_BLOCK,
    RESULT_UNAVAILABLE,
    RESULT_COUNT
};

enum metrics_tokens {
    TOKENS_PROMPT,
    TOKENS_CACHED,
    TOKENS_COMPLETION,
    TOKENS_COUNT
};

enum metrics_part {
    PART_POLICY,
    PART_KEYS,
    PART_CERTIFICATE,
    PART_CONFIG,
    PART_COUNT
};

/* Checks that have series of their own; later ones share "other". */
enum { METRICS_CHECKS_MAX = 64, METRICS_CHECK_SIZE = 65 };

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* corral_requests_total{route,status}; statuses that we never send count as
 * "other". */
void metrics_request(struct metrics *m, enum metrics_route route, int status);
/* corral_request_seconds{route}. */
void metrics_request_seconds(struct metrics *m, enum metrics_route route,
                             double seconds);
/* corral_verdicts_total{channel,result}, corral_guard_seconds{channel}. */
void metrics_verdict(struct metrics *m, enum metrics_channel channel,
                     enum metrics_result result, double seconds);
/* corral_check_seconds{check,outcome}: one check of a policy, by its id. */
void metrics_check(struct metrics *m, const char *id,
                   enum metrics_result outcome, double seconds);
/* corral_reloads_total{part,result}: "read", or "kept" as it was. */
void metrics_reload(struct metrics *m, enum metrics_part part, bool ok);
/* "chat" */
const char *metrics_route_name(enum metrics_route route);
/* corral_tokens_total{kind}. */
void metrics_tokens(struct metrics *m, enum metrics_tokens kind, int count);
/* corral_ttft_seconds: from the request's last byte to the first text sent. */
void metrics_ttft(struct metrics *m, double seconds);
/* corral_model_ttft_seconds: from asking the model, here or upstream, to its
 * first text, which nobody has judged yet. */
void metrics_model_ttft(struct metrics *m, double seconds);

/* A gauge (or, with `counter`, a count) read when somebody asks, such as
 * "corral_connections". Name and help are borrowed. At most
 * METRICS_GAUGES_MAX. */
enum { METRICS_GAUGES_MAX = 64 };
void metrics_gauge(struct metrics *m, const char *name, const char *help,
                   bool counter, double (*value)(void *user), void *user);

/* Every gauge as a member of `out`, by its name without "corral_". */
void metrics_gauges(const struct metrics *m, cJSON *out);

/* What `other` counts is printed with `m` from now on, as a sum; it may go on
 * in another thread. Before that begins; both live as long as `m` is printed.
 */
void metrics_join(struct metrics *m, struct metrics *other);

/* Everything, in the text format 0.0.4. */
void metrics_print(struct metrics *m, struct bytes *out);
extern const char metrics_content_type[];

#endif
