/* test_ngram.c - the hashed features, against a second way to write them down:
 * whole strings, one array of seen buckets, floating point sums. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "guard/ngram.h"
#include "guard/text.h"

enum { BITS = 10, BUCKETS = 1 << BITS };

static int8_t table[BUCKETS][4];
static const float scales[3] = {0.05f, 0.07f, 0.02f};
static const float biases[3] = {-1.5f, 0.25f, 3.0f};

/* ---- a table file ---- */

static void put(FILE *f, const void *at, size_t size) {
    assert_int_equal(fwrite(at, 1, size, f), size);
}

static void put_u32(FILE *f, uint32_t v) {
    put(f, &v, sizeof v);
}

static void put_u64(FILE *f, uint64_t v) {
    put(f, &v, sizeof v);
}

static void put_text(FILE *f, const char *s) {
    put_u64(f, strlen(s));
    put(f, s, strlen(s));
}

static void put_floats(FILE *f, const char *key, const float *at, size_t n) {
    put_text(f, key);
    put_u32(f, 9); /* array */
    put_u32(f, 6); /* of f32 */
    put_u64(f, n);
    put(f, at, n * sizeof *at);
}

struct file {
    const char *tensor;
    uint32_t type, bits;
    uint64_t columns, rows;
    const char *text;
    size_t scale_count;
    float bias;
};

static const struct file good = {"ngram.table", 24,         BITS, 4,
                                 BUCKETS,       "response", 3,    -1.5f};

static char *file_write(const struct file *spec) {
    char *path = xstrdup("/tmp/test_ngram_XXXXXX");
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "wb");
    float bias[3] = {spec->bias, biases[1], biases[2]};

    assert_non_null(f);
    put(f, "GGUF", 4);
    put_u32(f, 3);
    put_u64(f, 1); /* tensors */
    put_u64(f, 4); /* keys */
    put_text(f, "corral.ngram.bits");
    put_u32(f, 4); /* u32 */
    put_u32(f, spec->bits);
    put_text(f, "corral.ngram.text");
    put_u32(f, 8); /* string */
    put_text(f, spec->text);
    put_floats(f, "corral.ngram.scale", scales, spec->scale_count);
    put_floats(f, "corral.ngram.bias", bias, 3);
    put_text(f, spec->tensor);
    put_u32(f, 2);
    put_u64(f, spec->columns);
    put_u64(f, spec->rows);
    put_u32(f, spec->type);
    put_u64(f, 0);
    while (ftell(f) % 32) put(f, "", 1);
    put(f, table, sizeof table);
    put(f, table, sizeof table); /* enough for a wider type, too */
    put(f, table, sizeof table);
    put(f, table, sizeof table);
    assert_int_equal(fclose(f), 0);
    return path;
}

static struct ngram *open_spec(const struct file *spec, struct err *err) {
    char *path = file_write(spec);
    struct ngram *n = ngram_open(path, err);

    unlink(path);
    free(path);
    return n;
}

static struct ngram *open_good(void) {
    struct err err = {0};
    struct ngram *n = open_spec(&good, &err);

    if (!n) fail_msg("%s", err.text);
    return n;
}

/* ---- the second way ---- */

struct plain {
    bool seen[BUCKETS];
    double square, dot[3];
};

static void plain_feature(struct plain *p, const char *kind, const char *a,
                          const char *b) {
    struct bytes s = {0};
    uint64_t hash = 14695981039346656037ull;
    uint32_t bucket;

    bytes_puts(&s, kind);
    bytes_puts(&s, a);
    bytes_puts(&s, b);
    for (size_t i = 0; i < s.size; i++)
        hash = (hash ^ (unsigned char)s.at[i]) * 1099511628211ull;
    bytes_free(&s);
    bucket = (uint32_t)((hash ^ hash >> 32) % BUCKETS);
    if (p->seen[bucket]) return;
    p->seen[bucket] = true;
    p->square += table[bucket][0] * table[bucket][0];
    for (int l = 0; l < 3; l++)
        p->dot[l] +=
            table[bucket][0] * table[bucket][1 + l] * (double)scales[l];
}

static void plain_grams(struct plain *p, const char *word) {
    size_t starts[512], count = 0;
    char padded[1024], gram[64];
    size_t size = (size_t)snprintf(padded, sizeof padded, " %s ", word);

    for (size_t i = 0; i < size; i++)
        if (((unsigned char)padded[i] & 0xC0) != 0x80) starts[count++] = i;
    starts[count] = size;
    for (size_t n = 2; n <= 5; n++)
        for (size_t i = 0; i + n <= count; i++) {
            size_t bytes = starts[i + n] - starts[i];

            memcpy(gram, padded + starts[i], bytes);
            gram[bytes] = 0;
            plain_feature(p, "c", gram, "");
        }
}

static void plain_word(struct plain *p, struct bytes *word, char *before,
                       int *words) {
    char pair[1100];

    if (!word->size || *words == NGRAM_WORDS_MAX) {
        word->size = 0;
        return;
    }
    bytes_put(word, (struct span){"", 1});
    plain_feature(p, "w", word->at, "");
    plain_grams(p, word->at);
    if (*words) {
        (void)snprintf(pair, sizeof pair, "%s %s", before, word->at);
        plain_feature(p, "b", pair, "");
    }
    (void)snprintf(before, 512, "%s", word->at);
    ++*words;
    word->size = 0;
}

static void plain_logits(struct span text, float out[3]) {
    static struct plain p;
    struct bytes word = {0};
    char before[512] = "";
    int words = 0;

    memset(&p, 0, sizeof p);
    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        char utf8[UTF8_MAX];

        at += utf8_decode(span_slice(text, at, text.size), &point, NULL);
        if (!text_is_word_point(point)) {
            plain_word(&p, &word, before, &words);
            continue;
        }
        point = point == 0x130 ? point : text_lower_point(point);
        bytes_put(&word, (struct span){utf8, utf8_encode(point, utf8)});
    }
    plain_word(&p, &word, before, &words);
    bytes_free(&word);
    for (int l = 0; l < 3; l++)
        out[l] = (float)((p.square > 0 ? p.dot[l] / sqrt(p.square) : 0) +
                         (double)biases[l]);
}

static void check_near(const char *name, const float *a, const float *b) {
    for (int l = 0; l < 3; l++)
        if (!(fabsf(a[l] - b[l]) < 1e-4f))
            fail_msg("%s: logit %d is %.6f, not %.6f", name, l, (double)a[l],
                     (double)b[l]);
}

static void check_text(const struct ngram *n, const char *name,
                       struct span text) {
    float expected[3], whole[3];

    plain_logits(text, expected);
    ngram_logits(n, text, whole);
    check_near(name, whole, expected);
    /* Cut anywhere, and asked for its logits at the cut. */
    for (size_t cut = 0; cut <= text.size && cut < 400; cut++) {
        struct ngram_text *t = ngram_text_new(n);
        float got[3], head[3];

        ngram_text_add(t, span_slice(text, 0, cut));
        ngram_text_logits(t, got);
        plain_logits(span_slice(text, 0, cut), head);
        check_near(name, got, head);
        ngram_text_add(t, span_slice(text, cut, text.size));
        ngram_text_logits(t, got);
        assert_memory_equal(got, whole, sizeof whole);
        ngram_text_free(t);
    }
}

static const struct {
    const char *name, *text;
} texts[] = {
    {"one word", "hello"},
    {"one letter", "a"},
    {"pairs", "The capital, of France -- IS it Paris?"},
    {"repeats count once", "no no no no no"},
    {"underscore and digits", "my_name_2 x_ 42"},
    {"accents", "Über GRÜSSE, l'été à l'École"},
    {"dotted I stays", "\xc4\xb0stanbul"},
    {"sigma", "\xce\xa3\xce\x91\xce\xa3"},
    {"Devanagari marks", "भारत की राजधानी क्या है?"},
    {"Thai has no blanks", "สวัสดีครับ"},
    {"an emoji parts words", "a🍞b"},
    {"bad bytes part words", "ab\xff\x63\x64\xc3 ef\xe2\x82"},
    {"blanks around", "  x  "},
};

static void test_texts(void **state) {
    struct ngram *n = open_good();

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_text(n, texts[i].name, span_of(texts[i].text));
    ngram_close(n);
}

static void test_empty_text_is_bias(void **state) {
    static const char *const empty[] = {"", "  ...!?  \n", "\xff\xfe"};
    struct ngram *n = open_good();
    float out[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ngram_logits(n, span_of(empty[i]), out);
        assert_memory_equal(out, biases, sizeof out);
    }
    ngram_close(n);
}

static void test_random_bytes(void **state) {
    static const char alphabet[] = "ab AB_.\xc3\xa9\xe0\xa4\xf0\x9f\x8d\x9e";
    struct ngram *n = open_good();
    uint32_t x = 1;

    (void)state;
    for (int round = 0; round < 60; round++) {
        char text[48];
        size_t size = 0;

        for (; size < sizeof text; size++) {
            x = x * 1664525u + 1013904223u;
            text[size] = alphabet[(x >> 16) % (sizeof alphabet - 1)];
        }
        check_text(n, "random", (struct span){text, size});
    }
    ngram_close(n);
}

/* Words past the limit change nothing. */
static void test_words_limit(void **state) {
    struct ngram *n = open_good();
    struct bytes text = {0};
    float at_limit[3], past[3], below[3];

    (void)state;
    for (int i = 0; i < NGRAM_WORDS_MAX - 1; i++) bytes_puts(&text, "a ");
    ngram_logits(n, span_bytes(&text), below);
    bytes_puts(&text, "bcd");
    ngram_logits(n, span_bytes(&text), at_limit);
    assert_true(memcmp(below, at_limit, sizeof below) != 0);
    bytes_puts(&text, " efghijk lmnop");
    ngram_logits(n, span_bytes(&text), past);
    assert_memory_equal(at_limit, past, sizeof past);
    bytes_free(&text);
    ngram_close(n);
}

static void check_refused(const char *reason, struct file spec) {
    struct err err = {0};

    assert_null(open_spec(&spec, &err));
    assert_int_equal(err.code, ERR_INPUT);
    if (!strstr(err.text, reason)) fail_msg("%s: not %s", err.text, reason);
}

static void test_bad_files(void **state) {
    struct file spec = good;

    (void)state;
    spec.bits = 11;
    check_refused("ngram.table", spec);
    spec.bits = 0;
    check_refused("corral.ngram.bits", spec);
    spec.bits = 40;
    check_refused("corral.ngram.bits", spec);
    spec = good;
    spec.type = 0;
    check_refused("ngram.table", spec);
    spec = good;
    spec.tensor = "other";
    check_refused("ngram.table", spec);
    spec = good;
    spec.columns = 2;
    check_refused("ngram.table", spec);
    spec = good;
    spec.text = "answer";
    check_refused("corral.ngram.text", spec);
    spec = good;
    spec.scale_count = 2;
    check_refused("corral.ngram.scale", spec);
    spec = good;
    spec.bias = NAN;
    check_refused("corral.ngram.bias", spec);
    spec = good;
    spec.text = "prompt+response";
    {
        struct ngram *n = open_spec(&spec, NULL);

        assert_non_null(n);
        assert_true(ngram_with_prompt(n));
        ngram_close(n);
    }
}

/* The shipped table gives what its trainer computed. */
static void test_golden(void **state) {
    struct ngram *n = ngram_open("guard/models/ngrams.gguf", NULL);
    struct bytes text = {0};
    struct err err = {0};
    cJSON *root, *item;

    (void)state;
    if (!n ||
        !bytes_read_file(&text, "tests/unit/data/ngrams_golden.json", &err)) {
        ngram_close(n);
        skip();
    }
    root = json_parse(span_bytes(&text), &err);
    assert_non_null(root);
    assert_true(cJSON_GetArraySize(root) > 10);
    cJSON_ArrayForEach(item, root) {
        static const char *const names[] = {"unsafe", "inj", "english"};
        const char *s = cJSON_GetObjectItem(item, "text")->valuestring;
        const cJSON *logits = cJSON_GetObjectItem(item, "logits");
        float got[3], want[3];

        for (int l = 0; l < 3; l++)
            want[l] = (float)cJSON_GetObjectItem(logits, names[l])->valuedouble;
        ngram_logits(n, span_of(s), got);
        check_near(s, got, want);
    }
    cJSON_Delete(root);
    bytes_free(&text);
    ngram_close(n);
}

static int setup(void **state) {
    uint32_t x = 7;

    (void)state;
    for (int b = 0; b < BUCKETS; b++)
        for (int i = 0; i < 4; i++) {
            x = x * 1664525u + 1013904223u;
            table[b][i] =
                (int8_t)(i ? (int)(x >> 24) - 128 : 1 + (int)((x >> 25) % 127));
        }
    return hash_init(NULL) ? 0 : -1;
}

static float foreign(const struct ngram *n, const char *text) {
    struct ngram_text *t = ngram_text_new(n);
    float share;

    for (; *text; text++) ngram_text_add(t, (struct span){text, 1});
    share = ngram_text_foreign(t);
    ngram_text_free(t);
    return share;
}

static void test_foreign(void **state) {
    struct ngram *n = open_good();

    (void)state;
    assert_float_equal(foreign(n, ""), 0, 0);
    assert_float_equal(foreign(n, "12 \xe2\x80\x99\xf0\x9f\x98\x80 ?"), 0, 0);
    assert_float_equal(foreign(n, "\xc3\x89tude \xe2\x80\x94 na\xc3\xafve"), 0,
                       0);
    assert_float_equal(foreign(n, "ab \xe0\xb8\x81\xe0\xb8\x82"), 0.5f, 0);
    assert_float_equal(foreign(n, "\xe0\xa4\x95\xe0\xa4\x96 1999"), 1, 0);
    /* Bytes that are no text are no letters. */
    assert_float_equal(foreign(n, "a\xff\xfe\x80 b"), 0, 0);
    ngram_close(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_empty_text_is_bias),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_words_limit),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_foreign),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
