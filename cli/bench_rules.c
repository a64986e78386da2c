/* bench_rules.c - a policy of ten thousand literals and two hundred patterns
 * over texts of a megabyte: prose, code, other scripts, and what is made to be
 * slow. On one core; the guard model has no part in it. */
#include "cli/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "guard/policy.h"

enum { LITERALS = 10000, PATTERNS = 200, TEXT_BYTES = 1 << 20 };

static const char *const starts[] = {"brom", "velk", "tash", "querm", "dolv",
                                     "hirs", "pam",  "gost", "wiln",  "ocra"};
static const char *const middles[] = {"a",  "eni", "oss", "ul",  "irt",
                                      "an", "ebo", "id",  "ogu", "ymm"};
static const char *const ends[] = {"ter",  "ville", "son", "ix",  "dane",
                                   "holm", "ford",  "ley", "mar", "quist"};

/* Ten thousand different made-up names of two words, and patterns that look
 * for numbers beside them. */
static void put_policy(FILE *out) {
    (void)fputs("policy: bench\nchecks:\n  - id: names\n    use: rules\n"
                "    on: [input]\n    action: flag\n    any:\n",
                out);
    for (int i = 0; i < LITERALS; i++)
        (void)fprintf(out, "      - %s%s%s %s\n", starts[i % 10],
                      middles[i / 10 % 10], ends[i / 100 % 10],
                      middles[i / 1000 % 10]);
    for (int i = 0; i < PATTERNS; i++)
        (void)fprintf(out,
                      "      - {pattern: '(?i)%s%s%s[a-z]{2,9}[ -]\\d{2,8}'}\n",
                      starts[i % 10], middles[i / 100], ends[i / 10 % 10]);
}

/* As policies are read from files. */
static struct policy *open_policy(struct err *err) {
    char path[] = "/tmp/corral-bench-XXXXXX.yaml";
    int fd = mkstemps(path, (int)strlen(".yaml"));
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    struct policy *p = NULL;

    if (!out) {
        (void)err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
        if (fd >= 0) (void)close(fd);
        return NULL;
    }
    put_policy(out);
    if (fclose(out))
        (void)err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
    else
        p = policy_open(path, err);
    (void)unlink(path);
    return p;
}

static bool scan_ms(const struct policy *p, struct span text, double *ms,
                    struct err *err) {
    struct verdict v = {0};
    uint64_t start = clock_ns();
    bool ok = policy_scan(p, CHANNEL_INPUT, 0, text, &v, err);

    *ms = (double)(clock_ns() - start) / 1e6;
    return ok;
}

static bool measure(struct bench *b, const struct policy *p, const char *key,
                    const char *about, struct span text, struct err *err) {
    struct bench_samples samples = {0};
    double ms;

    while (bench_more(b, &samples)) {
        if (!scan_ms(p, text, &ms, err)) return false;
        bench_sample(&samples, (double)text.size / 1e3 / ms);
    }
    bench_put(b, key, "MB/s", about, bench_median(&samples));
    return true;
}

static void repeat(struct bytes *out, struct span text) {
    out->size = 0;
    while (out->size < TEXT_BYTES) bytes_put(out, text);
}

bool bench_rules(struct bench *b, struct err *err) {
    uint64_t start = clock_ns();
    struct policy *p = open_policy(err);
    struct bytes text = {0}, prose = {0};
    bool ok = p != NULL;

    if (!ok) return false;
    bench_put(b, "rules_load_ms", "ms", "a policy of 10,200 rules to ready",
              (double)(clock_ns() - start) / 1e6);
    bench_text(b, 4000, &prose);
    bytes_puts(&prose, "\n");
    repeat(&text, span_bytes(&prose));
    ok = measure(b, p, "rules_mb_s", "its rules over English prose",
                 span_bytes(&text), err);
    repeat(&text,
           span_of("static int next(const struct row *r, size_t i) {\n"
                   "    return i + 1 < r->count ? r->at[i + 1] : -1;\n}\n\n"));
    ok = ok && measure(b, p, "rules_code_mb_s", "over program text",
                       span_bytes(&text), err);
    repeat(&text, span_of("Die Bäckerin möchte übermorgen fünf Brötchen. "
                          "Où est la bibliothèque, s'il vous plaît? "
                          "मुझे कल सुबह बाज़ार जाना है। วันนี้อากาศดีมาก "));
    ok = ok &&
         measure(b, p, "rules_other_mb_s",
                 "over German, French, Hindi and Thai", span_bytes(&text), err);
    repeat(&text, span_of("bromabromabromater bromatervelk"));
    ok = ok &&
         measure(b, p, "rules_worst_mb_s", "over beginnings of its literals",
                 span_bytes(&text), err);
    bytes_free(&prose);
    bytes_free(&text);
    policy_free(p);
    return ok;
}
