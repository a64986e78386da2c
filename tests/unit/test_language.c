/* test_language.c - the language of a refusal, by script and by little words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard/language.h"

static void check(const char *text, const char *want) {
    const char *got = language_of(span_of(text));

    if (got != want && (!got || !want || strcmp(got, want) != 0))
        fail_msg("'%s' is told as %s, not %s", text, got ? got : "none",
                 want ? want : "none");
}

static void test_languages(void **state) {
    (void)state;
    check("How do I get rid of the rust on my bicycle?", "en");
    check("Wie werde ich den Rost an meinem Fahrrad los?", "de");
    check("Comment enlever la rouille de mon vélo ?", "fr");
    check("Come tolgo la ruggine dalla mia bicicletta?", "it");
    check("Como é que tiro a ferrugem da minha bicicleta?", "pt");
    check("¿Cómo quito el óxido de mi bicicleta?", "es");
    check("मैं अपनी साइकिल से जंग कैसे हटाऊँ?", "hi");
    check("Meri cycle se zang kaise hatega, mujhe batao", "hi");
    check("จะเอาสนิมออกจากจักรยานได้อย่างไร", "th");
}

static void test_mixed(void **state) {
    (void)state;
    /* What is quoted, named or coded does not outweigh the sentence. */
    check("Erkläre mir bitte, was \"the quick brown fox\" ist", "de");
    check("Perché print('hello') non funziona in Python?", "it");
    check("ราคา iPhone 15 Pro Max เท่าไหร่", "th");
    check("FAÇA ISSO PARA MIM, NÃO SE PREOCUPE", "pt");
}

static void test_none(void **state) {
    (void)state;
    check("", NULL);
    check("12345 !!! ???", NULL);
    check("xyzzy", NULL);
    check("これは日本語です", NULL);
    check("\xFF\xC3\xE0\xB8", NULL);
}

/* Any bytes, any length: an answer, and the same one beyond the limit. */
static void test_bytes(void **state) {
    char *text = malloc(1 << 20);
    uint32_t seed = 7;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < 1 << 20; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = (char)(seed >> 24);
    }
    for (size_t size = 0; size < 3000; size += 7)
        (void)language_of((struct span){text, size});
    assert_ptr_equal(language_of((struct span){text, LANGUAGE_BYTES}),
                     language_of((struct span){text, 1 << 20}));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_languages), cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_none), cmocka_unit_test(test_bytes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
