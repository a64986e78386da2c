/* test_tool_time.c - local times, from TZif files made here, so that the
 * outcome does not depend on the system's tz database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/tool_builtin.h"
#include "tools/zone.h"

static void put_number(struct bytes *b, uint64_t value, int size) {
    while (size--) {
        char byte = (char)(value >> (8 * size) & 0xFF);

        bytes_put(b, (struct span){&byte, 1});
    }
}

static void put_header(struct bytes *b, uint64_t times, uint64_t types,
                       uint64_t labels) {
    bytes_put(b, (struct span){"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20});
    put_number(b, 0, 4);
    put_number(b, 0, 4);
    put_number(b, 0, 4);
    put_number(b, times, 4);
    put_number(b, types, 4);
    put_number(b, labels, 4);
}

/* Before moment 1000: AAA, an hour east; from it on BBB, two and a half west;
 * after the table the footer. */
static void make_file(struct bytes *b, const char *footer) {
    b->size = 0;
    put_header(b, 0, 1, 4);
    put_number(b, 0, 6);
    bytes_put(b, (struct span){"AAA", 4});
    put_header(b, 1, 2, 8);
    put_number(b, 1000, 8);
    put_number(b, 1, 1);
    put_number(b, 3600, 4);
    put_number(b, 0, 2);
    put_number(b, (uint64_t)-9000, 4);
    put_number(b, 4, 2);
    bytes_put(b, (struct span){"AAA\0BBB", 8});
    bytes_puts(b, "\n");
    bytes_puts(b, footer);
    bytes_puts(b, "\n");
}

static void check(const char *footer, int64_t at, int seconds,
                  const char *label) {
    struct bytes b = {0};
    struct zone_offset offset;
    struct err err = {0};

    make_file(&b, footer);
    if (!zone_from_file(span_bytes(&b), at, &offset, &err))
        fail_msg("%s", err.text);
    assert_int_equal(offset.seconds, seconds);
    assert_string_equal(offset.label, label);
    bytes_free(&b);
}

static void test_table(void **state) {
    (void)state;
    check("", 0, 3600, "AAA");
    check("", 999, 3600, "AAA");
    check("", 1000, -9000, "BBB");
    check("", 4000000000, -9000, "BBB");
    check("UTC0", 999, 3600, "AAA");
    check("UTC0", 1000, 0, "UTC");
}

static void test_rules(void **state) {
    /* Summer in Rome: 2026-03-29 01:00 to 2026-10-25 01:00 UTC. */
    const char *rome = "CET-1CEST,M3.5.0,M10.5.0/3";
    /* Summer in Sydney: 2026-10-03 16:00 to 2027-04-03 16:00 UTC. */
    const char *sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";

    (void)state;
    check(rome, 1774745999, 3600, "CET");
    check(rome, 1774746000, 7200, "CEST");
    check(rome, 1792889999, 7200, "CEST");
    check(rome, 1792890000, 3600, "CET");
    check(sydney, 1791043199, 36000, "AEST");
    check(sydney, 1791043200, 39600, "AEDT");
    check(sydney, 1806767999, 39600, "AEDT");
    check(sydney, 1806768000, 36000, "AEST");
    check("<+0545>-5:45", 2000, 20700, "+0545");
}

static void test_broken_files(void **state) {
    static const char *const footers[] = {"CE",
                                          "CET",
                                          "CET-1CEST",
                                          "CET-1CEST,M13.5.0,M10.5.0",
                                          "CET-1CEST,J60,J300",
                                          "CET-1CEST,M3.5.0,M10.5.0x",
                                          "CET-999"};
    struct bytes b = {0};
    struct zone_offset offset;

    (void)state;
    for (size_t i = 0; i < sizeof footers / sizeof *footers; i++) {
        make_file(&b, footers[i]);
        assert_false(zone_from_file(span_bytes(&b), 2000, &offset, NULL));
    }
    make_file(&b, "UTC0");
    for (size_t size = 0; size < b.size - 6; size++) {
        struct bytes part = {0};

        bytes_put(&part, (struct span){b.at, size});
        /* Cut anywhere before the footer, and at any byte made absurd. */
        if (size < 54 + 44)
            assert_false(
                zone_from_file(span_bytes(&part), 2000, &offset, NULL));
        bytes_free(&part);
        bytes_put(&part, span_bytes(&b));
        part.at[size] = (char)0xFF;
        (void)!zone_from_file(span_bytes(&part), 2000, &offset, NULL);
        bytes_free(&part);
    }
    bytes_free(&b);
}

static void test_names(void **state) {
    static const char *const bad[] = {"",
                                      "/etc/passwd",
                                      "../../../etc/passwd",
                                      "Europe/../../passwd",
                                      "Europe//Rome",
                                      "Europe/",
                                      "tzdata.zi",
                                      "Europe/Rome ",
                                      "Europe/Rome;",
                                      "Nowhere/Land",
                                      "Europe"};
    struct zone_offset offset;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.code = ERR_NONE;
        assert_false(zone_at(span_of(bad[i]), 0, &offset, &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
    assert_false(zone_at((struct span){"UTC\0x", 5}, 0, &offset, &err));
}

static void test_text(void **state) {
    char out[128];
    struct err err = {0};

    (void)state;
    assert_true(time_text(span_of(""), 1795564518, out, sizeof out, &err));
    assert_string_equal(out, "2026-11-24 23:55:18 UTC (UTC+00:00), Tuesday");
    assert_false(time_text(span_of("../x"), 0, out, sizeof out, &err));
}

static const struct tool_context nobody = {0};

static void on_done(void *user, bool ok, struct span text) {
    (void)snprintf(user, 200, "%d %.*s", ok, (int)text.size, text.at);
}

static void test_tool(void **state) {
    char said[200] = "";
    cJSON *arguments = json_parse(span_of("{}"), NULL);

    (void)state;
    assert_null(tool_time.run(&tool_time, arguments, &nobody, on_done, said));
    assert_memory_equal(said, "1 20", 4);
    assert_non_null(strstr(said, "UTC+00:00"));
    cJSON_Delete(arguments);
    arguments = json_parse(span_of("{\"timezone\":\"Mars/Base\"}"), NULL);
    assert_null(tool_time.run(&tool_time, arguments, &nobody, on_done, said));
    assert_memory_equal(said, "0 there is no time zone", 23);
    cJSON_Delete(arguments);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_broken_files), cmocka_unit_test(test_names),
        cmocka_unit_test(test_text),         cmocka_unit_test(test_tool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
