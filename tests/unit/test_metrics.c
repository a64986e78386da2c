/* test_metrics.c - what was counted is what is printed, in a format that
 * Prometheus reads, and nothing from outside becomes a label. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/metrics.h"

static void has(struct metrics *m, const char *line, bool want) {
    struct bytes out = {0}, whole = {0};

    metrics_print(m, &out);
    bytes_puts(&whole, "\n");
    bytes_puts(&whole, line);
    bytes_puts(&whole, "\n");
    if ((span_find(span_bytes(&out), span_bytes(&whole)) != SIZE_MAX) != want)
        fail_msg("\"%s\" is %s in\n%.*s", line, want ? "not" : "there",
                 (int)out.size, out.at);
    bytes_free(&out);
    bytes_free(&whole);
}

static void test_counters(void **state) {
    struct metrics *m = metrics_new();

    (void)state;
    metrics_request(m, ROUTE_CHAT, 200);
    metrics_request(m, ROUTE_CHAT, 200);
    metrics_request(m, ROUTE_OTHER, 504);
    metrics_request(m, ROUTE_GUARD, 777);
    metrics_verdict(m, METRICS_TOOL_RESULT, RESULT_WOULD_BLOCK, 0.5);
    metrics_tokens(m, TOKENS_CACHED, 7);
    metrics_tokens(m, TOKENS_CACHED, -3);
    has(m, "corral_requests_total{route=\"chat\",status=\"200\"} 2", true);
    has(m, "corral_requests_total{route=\"other\",status=\"504\"} 1", true);
    has(m, "corral_requests_total{route=\"guard\",status=\"other\"} 1", true);
    has(m, "corral_requests_total{route=\"models\",status=\"200\"} 0", false);
    has(m,
        "corral_verdicts_total{channel=\"tool_result\",result=\"would_block\"}"
        " 1",
        true);
    has(m, "corral_verdicts_total{channel=\"input\",result=\"blocked\"} 0",
        true);
    has(m, "corral_tokens_total{kind=\"cached\"} 7", true);
    has(m, "# TYPE corral_requests_total counter", true);
    metrics_free(m);
}

static void test_histogram(void **state) {
    struct metrics *m = metrics_new();

    (void)state;
    metrics_verdict(m, METRICS_INPUT, RESULT_ALLOWED, 0.02); /* on a bound */
    metrics_verdict(m, METRICS_INPUT, RESULT_BLOCKED, 0.021);
    metrics_verdict(m, METRICS_INPUT, RESULT_BLOCKED, 60);
    metrics_verdict(m, METRICS_INPUT, RESULT_BLOCKED, -1);
    metrics_verdict(m, METRICS_INPUT, RESULT_BLOCKED, (double)NAN);
    has(m, "corral_guard_seconds_bucket{channel=\"input\",le=\"0.01\"} 2",
        true);
    has(m, "corral_guard_seconds_bucket{channel=\"input\",le=\"0.02\"} 3",
        true);
    has(m, "corral_guard_seconds_bucket{channel=\"input\",le=\"0.05\"} 4",
        true);
    has(m, "corral_guard_seconds_bucket{channel=\"input\",le=\"5\"} 4", true);
    has(m, "corral_guard_seconds_bucket{channel=\"input\",le=\"+Inf\"} 5",
        true);
    has(m, "corral_guard_seconds_sum{channel=\"input\"} 60.041", true);
    has(m, "corral_guard_seconds_count{channel=\"input\"} 5", true);
    has(m, "corral_guard_seconds_count{channel=\"output\"} 0", false);
    has(m, "corral_ttft_seconds_count 0", true);
    metrics_ttft(m, 0.3);
    has(m, "corral_ttft_seconds_bucket{le=\"0.25\"} 0", true);
    has(m, "corral_ttft_seconds_bucket{le=\"0.5\"} 1", true);
    has(m, "corral_ttft_seconds_sum 0.3", true);
    metrics_request_seconds(m, ROUTE_CHAT, 3);
    has(m, "corral_request_seconds_bucket{route=\"chat\",le=\"5\"} 1", true);
    metrics_free(m);
}

static double read_number(void *user) {
    return *(double *)user;
}

static void test_gauge(void **state) {
    struct metrics *m = metrics_new();
    double number = 3;

    (void)state;
    metrics_gauge(m, "corral_connections", "Open connections.", false,
                  read_number, &number);
    metrics_gauge(m, "corral_steps_total", "Steps.", true, read_number,
                  &number);
    has(m, "corral_connections 3", true);
    number = 12345678;
    has(m, "corral_connections 12345678", true);
    has(m, "# TYPE corral_connections gauge", true);
    has(m, "# TYPE corral_steps_total counter", true);
    metrics_free(m);
    metrics_free(NULL);
}

/* Every line is a comment or `name{labels} number`. */
static void test_format(void **state) {
    struct metrics *m = metrics_new();
    struct bytes out = {0};
    size_t at = 0;

    (void)state;
    metrics_request(m, ROUTE_CHAT, 200);
    metrics_verdict(m, METRICS_OUTPUT, RESULT_ALLOWED, 1);
    metrics_print(m, &out);
    assert_true(out.size && out.at[out.size - 1] == '\n');
    while (at < out.size) {
        struct span line = span_slice(span_bytes(&out), at, out.size);
        size_t end = span_find(line, span_of("\n"));

        line = span_slice(line, 0, end);
        at += end + 1;
        if (span_starts(line, span_of("# "))) continue;
        assert_true(span_starts(line, span_of("corral_")));
        assert_true(line.at[line.size - 1] >= '0' &&
                    line.at[line.size - 1] <= '9');
    }
    bytes_free(&out);
    metrics_free(m);
}

/* Another loop's count as well, with the same checks and with others. */
static void test_joined(void **state) {
    struct metrics *m = metrics_new(), *other = metrics_new();
    struct metrics *third = metrics_new();

    (void)state;
    metrics_join(m, other);
    metrics_join(m, third);
    metrics_request(m, ROUTE_CHAT, 200);
    metrics_request(other, ROUTE_CHAT, 200);
    metrics_request(third, ROUTE_CHAT, 429);
    metrics_verdict(other, METRICS_INPUT, RESULT_BLOCKED, 0.02);
    metrics_verdict(third, METRICS_INPUT, RESULT_BLOCKED, 3);
    metrics_check(m, "a", RESULT_ALLOWED, 1);
    metrics_check(other, "b", RESULT_ALLOWED, 1);
    metrics_check(other, "a", RESULT_ALLOWED, 2);
    metrics_check(other, "\"", RESULT_ALLOWED, 1);
    metrics_tokens(m, TOKENS_PROMPT, 2);
    metrics_tokens(third, TOKENS_PROMPT, 3);
    metrics_ttft(other, 0.3);
    metrics_reload(m, PART_KEYS, true);
    has(m, "corral_requests_total{route=\"chat\",status=\"200\"} 2", true);
    has(m, "corral_requests_total{route=\"chat\",status=\"429\"} 1", true);
    has(m, "corral_guard_seconds_sum{channel=\"input\"} 3.02", true);
    has(m, "corral_guard_seconds_count{channel=\"input\"} 2", true);
    has(m, "corral_check_seconds_sum{check=\"a\",outcome=\"allowed\"} 3", true);
    has(m, "corral_check_seconds_sum{check=\"b\",outcome=\"allowed\"} 1", true);
    has(m, "corral_check_seconds_count{check=\"other\",outcome=\"allowed\"} 1",
        true);
    has(m, "corral_tokens_total{kind=\"prompt\"} 5", true);
    has(m, "corral_ttft_seconds_count 1", true);
    has(m, "corral_reloads_total{part=\"keys\",result=\"read\"} 1", true);
    /* What is printed is counted once, however often. */
    has(m, "corral_requests_total{route=\"chat\",status=\"200\"} 2", true);
    metrics_free(third);
    metrics_free(other);
    metrics_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters), cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_gauge),    cmocka_unit_test(test_format),
        cmocka_unit_test(test_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
