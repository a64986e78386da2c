/* test_text_spell.c - letters set apart and letters written as digits are read
 * as the words they are, and nothing else changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard/text_spell.h"

/* NULL: every word of it is spelled as usual. */
static void check_spell(const char *raw, enum spell_one one, const char *want) {
    struct text_view folded, v;
    struct err err;
    bool any;

    assert_true(text_fold(span_of(raw), &folded, &err));
    any = text_spell(&folded, one, SPELL_CLOSED, &v);
    text_view_clear(&folded);
    if (!any) {
        if (want) fail_msg("'%s' is not spelled '%s'", raw, want);
        return;
    }
    if (!want || !span_is(span_bytes(&v.text), want))
        fail_msg("'%s' became '%.*s', not '%s'", raw, (int)v.text.size,
                 v.text.at, want ? want : "itself");
    for (size_t i = 0; i < v.text.size; i++) {
        assert_true(v.map_from[i] < v.map_end[i]);
        assert_true(v.map_end[i] <= strlen(raw));
    }
    text_view_clear(&v);
}

static void test_apart(void **state) {
    enum spell_one one = SPELL_ONE_LIKELY;

    (void)state;
    check_spell("k i l l", one, "kill");
    check_spell("H o w   t o   k i l l", one, "how to kill");
    check_spell("h.o.w. .t.o. .k.i.l.l", one, "how to kill");
    check_spell("h-o-w t-o k-i-l-l", one, "how to kill");
    check_spell("k.i-l_l now", one, "kill now");
    check_spell("to k*i*l*l them", one, "to kill them");
    check_spell("k 1 l l now", one, "kill now");
    check_spell("\xD0\xB4 \xD0\xB6 \xD0\xB9", one, "\xD0\xB4\xD0\xB6\xD0\xB9");
    check_spell("I am a b-movie fan, e.g. of x, y and z.", one, NULL);
    check_spell("Take a, b, c - or d.", one, NULL);
    check_spell("", one, NULL);
    check_spell("a", one, NULL);
}

static void test_leet(void **state) {
    (void)state;
    check_spell("h0w 2 k1ll", SPELL_ONE_LIKELY, "how 2 kill");
    check_spell("k111", SPELL_ONE_L, "klll");
    check_spell("k1!|", SPELL_ONE_I, "ki!|");
    check_spell("@cm3 c0rp!", SPELL_ONE_LIKELY, "acme corp!");
    check_spell("p4$$w0rd", SPELL_ONE_LIKELY, "password");
    check_spell("In 2024, 15 people paid $20!", SPELL_ONE_LIKELY, NULL);
    check_spell("100 % of 3+4", SPELL_ONE_LIKELY, NULL);
}

/* A gap tells words apart, so letters of one word are tied; without any gap a
 * word may begin anywhere. */
static void test_edges(void **state) {
    struct text_view folded, v;
    struct err err;

    (void)state;
    assert_true(text_fold(span_of("s k i l l   s e t"), &folded, &err));
    assert_true(text_spell(&folded, SPELL_ONE_LIKELY, SPELL_CLOSED, &v));
    assert_true(span_is(span_bytes(&v.text), "skill set"));
    assert_int_equal(v.map_end[0], v.map_from[1]);
    text_view_clear(&v);
    text_view_clear(&folded);
    assert_true(text_fold(span_of("s k i l l s e t"), &folded, &err));
    assert_true(text_spell(&folded, SPELL_ONE_LIKELY, SPELL_CLOSED, &v));
    assert_true(v.map_end[0] < v.map_from[1]);
    text_view_clear(&v);
    text_view_clear(&folded);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_apart),
                                       cmocka_unit_test(test_leet),
                                       cmocka_unit_test(test_edges)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
