/* test_entity_secret.c - every issuer's keys: found at their length, and not
 * when one sign is missing. The bodies are made here; nobody ever held such a
 * key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard/entity.h"

enum { KEY_MAX = 160 };

static const struct issued {
    const char *prefix;
    int size; /* of the shortest body */
    bool hex;
} issued[] = {{"AKIA", 16, false},     {"ASIA", 16, false},
              {"ABIA", 16, false},     {"ACCA", 16, false},
              {"ghp_", 30, false},     {"gho_", 30, false},
              {"ghu_", 30, false},     {"ghs_", 30, false},
              {"ghr_", 30, false},     {"github_pat_", 40, false},
              {"glpat-", 20, false},   {"gldt-", 20, false},
              {"glrt-", 20, false},    {"glcbt-", 20, false},
              {"glptt-", 40, true},    {"glft-", 20, false},
              {"glsoat-", 20, false},  {"glimt-", 25, false},
              {"glagent-", 50, false}, {"sk-", 20, false},
              {"SK", 32, true},        {"sk_live_", 16, false},
              {"sk_test_", 16, false}, {"rk_live_", 16, false},
              {"rk_test_", 16, false}, {"whsec_", 16, false},
              {"AIza", 35, false},     {"GOCSPX-", 28, false},
              {"ya29.", 20, false},    {"xoxb-", 10, false},
              {"xoxa-", 10, false},    {"xoxp-", 10, false},
              {"xoxr-", 10, false},    {"xoxs-", 10, false},
              {"xoxe-", 20, false},    {"xapp-", 20, false},
              {"hf_", 30, false},      {"api_org_", 34, false},
              {"gsk_", 40, false},     {"xai-", 60, false},
              {"pplx-", 40, false},    {"r8_", 37, false},
              {"pcsk_", 40, false},    {"lsv2_", 32, false},
              {"npm_", 36, false},     {"pypi-", 50, false},
              {"rubygems_", 48, true}, {"dckr_pat_", 27, false},
              {"dop_v1_", 64, true},   {"doo_v1_", 64, true},
              {"dor_v1_", 64, true},   {"SG.", 20, false},
              {"key-", 32, true},      {"xkeysib-", 64, false},
              {"shpat_", 32, true},    {"shpca_", 32, true},
              {"shppa_", 32, true},    {"shpss_", 32, true},
              {"sq0atp-", 22, false},  {"sq0csp-", 43, false},
              {"FLWSECK_", 32, false}, {"EZAK", 54, false},
              {"dapi", 32, true},      {"NRAK-", 27, false},
              {"glsa_", 41, false},    {"glc_", 32, false},
              {"sntrys_", 40, false},  {"sntryu_", 64, true},
              {"dt0c01.", 24, false},  {"hvs.", 24, false},
              {"hvb.", 24, false},     {"dp.pt.", 40, false},
              {"dp.st.", 40, false},   {"pul-", 40, true},
              {"pscale_", 36, false},  {"sbp_", 40, true},
              {"lin_api_", 40, false}, {"ntn_", 43, false},
              {"secret_", 43, false},  {"PMAK-", 59, false},
              {"figd_", 40, false},    {"ATATT3", 100, false},
              {"HRKU-", 36, false},    {"tfp_", 40, false},
              {"rdme_", 64, false},    {"nfp_", 36, false},
              {"tskey-", 20, false},   {"AGE-SECRET-KEY-1", 58, false}};

static int scan(const struct issued *k, int size, struct entity_hit *hit) {
    static const char hex[] = "7d0c4b9e1f8a5236",
                      mixed[] = "X7d0Kc4Rb9Qe1fW8a5Zt23u6";
    const char *letters = k->hex ? hex : mixed;
    char text[KEY_MAX + 32] = "k: ";
    size_t at = 3, most = strlen(letters);

    memcpy(text + at, k->prefix, strlen(k->prefix));
    at += strlen(k->prefix);
    for (int i = 0; i < size; i++) text[at++] = letters[(size_t)i % most];
    memcpy(text + at, ", ok", 4);
    return entity_scan((struct span){text, at + 4}, entity_kinds("api_key"),
                       hit, 1);
}

static void test_issued(void **state) {
    (void)state;
    assert_true(sizeof issued / sizeof *issued >= 50);
    for (size_t i = 0; i < sizeof issued / sizeof *issued; i++) {
        const struct issued *k = &issued[i];
        struct entity_hit hit;

        if (scan(k, k->size, &hit) != 1) fail_msg("%s: not found", k->prefix);
        assert_int_equal(hit.from, 3);
        assert_int_equal(hit.end, 3 + (int)strlen(k->prefix) + k->size);
        if (scan(k, k->size - 1, &hit)) fail_msg("%s: too short", k->prefix);
    }
}

static void expect(const char *text, const char *want) {
    struct entity_hit hits[4];
    int count = entity_scan(span_of(text), entity_kinds("api_key"), hits, 4);

    if (!want) {
        if (count) fail_msg("'%s' has a key", text);
        return;
    }
    assert_int_equal(count, 1);
    assert_true(
        span_is(span_slice(span_of(text), hits[0].from, hits[0].end), want));
}

static void test_strings(void **state) {
    (void)state;
    expect("postgres://app:x9Kq27vLm3@db.example.org/shop", "x9Kq27vLm3");
    expect("mongodb+srv://root:x9Kq27vLm3@c0.example.net", "x9Kq27vLm3");
    expect("AccountName=a;AccountKey=Zm9vYmFyMTIzNDU2Nzg5MDEyMzQ1Ng==;E=x",
           "Zm9vYmFyMTIzNDU2Nzg5MDEyMzQ1Ng==");
    expect("postgres://user:password@localhost:5432/db", NULL);
    expect("postgres://user:${PASSWORD1234}@localhost/db", NULL);
    expect("https://example.org:8443/a@b and https://x.org/@user1234567", NULL);
}

static void test_innocents(void **state) {
    (void)state;
    expect("skeleton sketch skyline SK-8 sk-learn key-value key-frame", NULL);
    expect("secret_santa is a game; the secret_ingredient_of_grandma", NULL);
    expect("commit 3f786850e387550fdab836ed7e6dc881de23001b", NULL);
    expect("550e8400-e29b-41d4-a716-446655440000", NULL);
    expect("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf",
           NULL);
    expect("npm_config_registry, hf_hub_download, pypi-server, glc_x", NULL);
    expect("xai-research, pul-monary, dapifer, ezakimak, age-secret", NULL);
    expect("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15",
           NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_issued),
                                       cmocka_unit_test(test_strings),
                                       cmocka_unit_test(test_innocents)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
