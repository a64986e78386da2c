/* test_entity.c - identifiers and innocents side by side, and that what is
 * held back of a text that still arrives is enough: at every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard/entity.h"

#define ALL ((UINT64_C(1) << ENTITY_KIND_COUNT) - 1)

enum { HITS = 64 };

/* `want` lists the hits as "kind:text|kind:text". */
static void check_scan(const char *text, const char *want) {
    struct entity_hit hits[HITS];
    struct bytes out = {.at = NULL};
    int count = entity_scan(span_of(text), ALL, hits, HITS);

    for (int i = 0; i < count; i++) {
        if (i) bytes_puts(&out, "|");
        bytes_puts(&out, entity_name(hits[i].kind));
        bytes_puts(&out, ":");
        bytes_put(&out, span_slice(span_of(text), hits[i].from, hits[i].end));
    }
    if (!span_is(span_bytes(&out), want))
        fail_msg("in '%s': '%.*s' instead of '%s'", text, (int)out.size,
                 out.at ? out.at : "", want);
    bytes_free(&out);
}

static void test_email(void **state) {
    (void)state;
    check_scan("john.doe+x@example.co.uk, ok",
               "email:john.doe+x@example.co.uk");
    check_scan("<a_b%c@x-y.org>.", "email:a_b%c@x-y.org");
    check_scan("(jos\xC3\xA9@ex\xC3\xA4mple.de)",
               "email:jos\xC3\xA9@ex\xC3\xA4mple.de");
    check_scan("\xE8\x81\x94\xE7\xB3\xBBme@x.cn\xE3\x80\x82", "email:me@x.cn");
    check_scan("'x@y.com'", "email:x@y.com");
    check_scan("a@b.xn--p1ai", "email:a@b.xn--p1ai");
    check_scan("a@b.c x@ @y.com user@localhost a.@b.com a@b.1 @decorator", "");
}

static void test_phone(void **state) {
    (void)state;
    check_scan("Call me at +39 06 1234 5678", "phone:+39 06 1234 5678");
    check_scan("+1 (212) 555-0199.", "phone:+1 (212) 555-0199");
    check_scan("0039 06 1234 5678", "phone:0039 06 1234 5678");
    check_scan("(212) 555-0199 or 212.555.0199",
               "phone:(212) 555-0199|phone:212.555.0199");
    check_scan("1-800-555-0199", "phone:1-800-555-0199");
    check_scan("06 1234 5678", "phone:06 1234 5678");
    check_scan("01 23 45 67 89", "phone:01 23 45 67 89");
    check_scan("0171/1234567", "phone:0171/1234567");
    check_scan("tel: 5551234567", "phone:5551234567");
    check_scan("T\xC3\xA9l 0612345678", "phone:0612345678");
    check_scan("WhatsApp: 3331234567", "phone:3331234567");
}

static void test_no_phone(void **state) {
    (void)state;
    check_scan("2024-01-02, 12/05/2023, 01.02.2024, 2024 01 02", "");
    check_scan("telephone museum, opened 12/05/2023", "");
    check_scan("1990 - 2000, 1,234,567.89, 1.234.567,89, 12345678", "");
    check_scan("call 911, call 2 of 3, no 12-34-5", "");
    check_scan("#0612345678 $0612345678 v06.1234.5678 1234567890123456789", "");
    check_scan("12 34 56 78 90 12 34 56 78 90 12", "");
    check_scan("+0 12345678, +1234", "");
    check_scan("3.14159265358979 and 1e10 and 0.0000001", "");
}

static void test_accounts(void **state) {
    (void)state;
    check_scan("4111 1111 1111 1111 5555-5555-5555-4444",
               "card:4111 1111 1111 1111|card:5555-5555-5555-4444");
    check_scan("378282246310005, 3782 822463 10005",
               "card:378282246310005|card:3782 822463 10005");
    check_scan("6011111111111117 30569309025904",
               "card:6011111111111117|card:30569309025904");
    check_scan("4111111111111112 1234567812345670 41111111111111111", "");
    check_scan("x4111111111111111 4111111111111111x 0.4111111111111111", "");
    check_scan("DE89 3704 0044 0532 0130 00.",
               "iban:DE89 3704 0044 0532 0130 00");
    check_scan("gb82west12345698765432", "iban:gb82west12345698765432");
    check_scan("NO93 8601 1117 947", "iban:NO93 8601 1117 947");
    check_scan("DE89 3704 0044 0532 0130 01 ZZ89 3704 0044 0532 0130 00", "");
}

static void test_machines(void **state) {
    (void)state;
    check_scan("192.168.1.10, 8.8.8.8:53", "ip:192.168.1.10|ip:8.8.8.8");
    check_scan("[2001:db8::1:2] fe80::1ff:fe23:4567:890a",
               "ip:2001:db8::1:2|ip:fe80::1ff:fe23:4567:890a");
    check_scan("1:2:3:4:5:6:7:8", "ip:1:2:3:4:5:6:7:8");
    check_scan("1.2.3 1.2.3.4.5 256.1.1.1 version 1.2.3.4 v1.2.3.4", "");
    check_scan("12:34:56 std::vector add::face 1:2:3:4:5:6:7:8:9 ::", "");
    check_scan("aa:bb:cc:dd:ee:ff", "");
}

static void test_secrets(void **state) {
    (void)state;
    check_scan("AKIAIOSFODNN7EXAMPLE!", "api_key:AKIAIOSFODNN7EXAMPLE");
    check_scan("sk-ant-api03-abcDEF1234567890abcdefgh",
               "api_key:sk-ant-api03-abcDEF1234567890abcdefgh");
    check_scan("ghp_0123456789abcdefghijklmnopqrstuvwxyz",
               "api_key:ghp_0123456789abcdefghijklmnopqrstuvwxyz");
    check_scan("AIzaSyA-1234567890abcdefghijklmnopqrstu",
               "api_key:AIzaSyA-1234567890abcdefghijklmnopqrstu");
    check_scan("xoxb-123456789012-abcdef", "api_key:xoxb-123456789012-abcdef");
    check_scan("api_key = \"a8f5f167f44f4964e6c998dee827110c\"",
               "api_key:a8f5f167f44f4964e6c998dee827110c");
    check_scan("{\"token\": \"a8f5f167f44f4964e6c998\"}",
               "api_key:a8f5f167f44f4964e6c998");
    check_scan("Authorization: Bearer a8f5f167f44f4964e6c998",
               "api_key:a8f5f167f44f4964e6c998");
    check_scan("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w",
               "api_key:eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0."
               "dozjgNryP4J3jVmNHl0w");
    check_scan("task-force sk-learn-is-a-python-package token: the word", "");
    check_scan("AKIAIOSFODNN7EXAMPLEX secret = aaaaaaaaaaaaaaaaaaaa1", "");
    check_scan("a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE "
               "KEY----- b",
               "private_key:-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END "
               "RSA PRIVATE KEY-----");
    /* Cut short, it is still a part of a key. */
    check_scan("-----BEGIN PRIVATE KEY-----\nMIIE",
               "private_key:-----BEGIN PRIVATE KEY-----\nMIIE");
    check_scan("-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
               "");
}

static void test_kinds(void **state) {
    struct entity_hit hits[2];
    struct span text = span_of("a@b.com c@d.com e@f.com 8.8.8.8");

    (void)state;
    assert_int_equal(entity_scan(text, 1u << ENTITY_IP, hits, 2), 1);
    assert_int_equal(hits[0].kind, ENTITY_IP);
    assert_int_equal(entity_scan(text, 0, hits, 2), 0);
    assert_int_equal(entity_scan(text, ALL, hits, 2), 2);
    assert_int_equal(entity_hold(text, 0), text.size);
    for (int i = 0; i < ENTITY_KIND_COUNT; i++)
        assert_true(entity_kinds(entity_name((enum entity_kind)i)) ==
                    UINT64_C(1) << i);
    assert_true(entity_kinds("national_id") & entity_kinds("it_cf"));
    assert_false(entity_kinds("national_id") & entity_kinds("card"));
    assert_false(entity_kinds("Email"));
    assert_false(entity_kinds(""));
}

/* A mark that no match of the prefix reaches over. */
static size_t held(struct span text, const struct entity_hit *hits, int count) {
    size_t hold = entity_hold(text, ALL);

    for (int i = count - 1; i >= 0; i--)
        if (hits[i].from < hold && hits[i].end > hold) hold = hits[i].from;
    return hold;
}

static void check_cuts(struct span text) {
    static struct entity_hit whole[HITS], part[HITS];
    int all = entity_scan(text, ALL, whole, HITS);

    for (size_t cut = 0; cut <= text.size; cut++) {
        struct span head = span_slice(text, 0, cut);
        int some = entity_scan(head, ALL, part, HITS);
        size_t hold = held(head, part, some);
        int i;

        for (i = 0; i < all && whole[i].from < hold; i++)
            if (i >= some || part[i].from != whole[i].from ||
                part[i].end != whole[i].end)
                fail_msg("'%.*s' cut at %zu, held from %zu: [%zu, %zu)",
                         (int)text.size, text.at, cut, hold, whole[i].from,
                         whole[i].end);
        if (i < some && part[i].from < hold)
            fail_msg("'%.*s' cut at %zu, held from %zu: a match that was none",
                     (int)text.size, text.at, cut, hold);
    }
}

static const char *const pieces[] = {"+39 06 1234 5678",
                                     "(212) 555-0199",
                                     "0171/1234567",
                                     "call ",
                                     "a.b@x.com",
                                     "@",
                                     ".",
                                     "4111 1111 1111 1111",
                                     "5555-5555-5555-4444",
                                     "DE89 3704 0044 0532 0130 00",
                                     "192.168.1.1",
                                     "2001:db8::1:2",
                                     "AKIAIOSFODNN7EXAMPLE",
                                     "sk-abcDEF1234567890abcdefgh",
                                     "api_key = \"a8f5f167f44f4964e6c998\"",
                                     "bearer a8f5f167f44f4964e6c998",
                                     "eyJhbGciOiJI.eyJzdWIiOiIx.dozjgNryP4J3",
                                     "-----BEGIN PRIVATE KEY-----\nx",
                                     "-----END PRIVATE KEY-----",
                                     "2024-01-02",
                                     "HGTDVC43A61Z432J",
                                     "SSN 123-45-6789",
                                     "cpf 245.747.483-38",
                                     "nhs 935 472 3616",
                                     "dni 36764096E",
                                     "vat DE222068812",
                                     "passport ",
                                     "AB123456C",
                                     "756.8278.0317.73",
                                     " ",
                                     "\n",
                                     "1",
                                     "-",
                                     "x",
                                     ":",
                                     "06 ",
                                     "\xC3\xA9",
                                     "%",
                                     ","};

static void test_cuts(void **state) {
    uint32_t seed = 3;
    char text[512];

    (void)state;
    for (int round = 0; round < 1500; round++) {
        size_t size = 0;

        for (int i = 0; i < 6; i++) {
            const char *piece;
            size_t length;

            seed = seed * 1664525u + 1013904223u;
            piece = pieces[(seed >> 8) % (sizeof pieces / sizeof *pieces)];
            length = strlen(piece);
            /* Often only a part of it. */
            if (seed >> 30 == 0) length = (seed >> 12) % (length + 1);
            memcpy(text + size, piece, length);
            size += length;
        }
        check_cuts((struct span){text, size});
    }
}

/* Where enough of the text follows, a form is asked only when the first bytes
 * allow it; at the text's end always. A line end behind a short text changes
 * nothing else. */
static void test_first_bytes(void **state) {
    static const char letters[] = "AbcCfG19  -./+(xX0246ssD\xC3\xA9";
    static const char behind[] = "\n~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~";
    /* A private key that is cut short goes on to the text's end. */
    uint64_t kinds = ALL & ~(UINT64_C(1) << ENTITY_PRIVATE_KEY);
    uint32_t seed = 5;
    int found = 0;

    (void)state;
    for (int round = 0; round < 40000; round++) {
        struct entity_hit a[HITS], b[HITS];
        char text[256];
        const char *piece;
        size_t size;
        int count;

        seed = seed * 1664525u + 1013904223u;
        piece = pieces[(seed >> 8) % (sizeof pieces / sizeof *pieces)];
        size = strlen(piece);
        memcpy(text, piece, size);
        /* Some with another byte somewhere. */
        if (seed >> 30)
            text[(seed >> 4) % size] =
                letters[(seed >> 16) % (sizeof letters - 1)];
        memcpy(text + size, behind, sizeof behind - 1);
        count = entity_scan((struct span){text, size}, kinds, a, HITS);
        assert_int_equal(
            entity_scan((struct span){text, size + sizeof behind - 1}, kinds, b,
                        HITS),
            count);
        for (int i = 0; i < count; i++) {
            assert_int_equal(a[i].kind, b[i].kind);
            assert_int_equal(a[i].from, b[i].from);
            assert_int_equal(a[i].end, b[i].end);
        }
        found += count;
    }
    assert_true(found > 4000);
}

/* Prose is let go: at most a word waits. */
static void test_prose(void **state) {
    struct span text = span_of("The quick brown fox, it is said, jumps over "
                               "the lazy dog. ");

    (void)state;
    for (size_t cut = 0; cut <= text.size; cut++)
        assert_true(cut - entity_hold(span_slice(text, 0, cut), ALL) <= 6);
    assert_int_equal(entity_hold(text, ALL), text.size);
}

/* Hostile runs take time in proportion to their length. */
static void test_long_runs(void **state) {
    static const char *const runs[] = {
        "1 ",  "1",      "a@",    "a.", "-",    ":1",
        "sk-", "token=", "de12 ", "(1", "eyJ.", "-----begin private key"};
    size_t size = 100000;
    char *text = xalloc_array(size, 1);
    struct entity_hit hits[HITS];

    (void)state;
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        for (size_t i = 0; i < size; i++)
            text[i] = runs[k][i % strlen(runs[k])];
        assert_true(entity_scan((struct span){text, size}, ALL, hits, HITS) <=
                    HITS);
        assert_true(entity_hold((struct span){text, size}, ALL) <= size);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_email),      cmocka_unit_test(test_phone),
        cmocka_unit_test(test_no_phone),   cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_machines),   cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_kinds),      cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_prose),      cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_first_bytes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
