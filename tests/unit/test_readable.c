/* test_readable.c - a page as its reader would see it, and nothing that the
 * page hides from him. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "tools/readable.h"

static void check_bytes(struct span html, const char *charset,
                        const char *want) {
    struct bytes out = {.limit = 4096};
    struct err err = {0};
    bool cut = true;

    if (!readable_html(&out, html, "https://a.example/dir/page", charset, &cut,
                       &err))
        fail_msg("%.*s: %s", (int)html.size, html.at, err.text);
    assert_false(cut);
    if (!span_is(span_bytes(&out), want))
        fail_msg("%.*s\n--- gives\n%.*s\n--- not\n%s", (int)html.size, html.at,
                 (int)out.size, out.at ? out.at : "", want);
    bytes_free(&out);
}

static void check(const char *html, const char *want) {
    check_bytes(span_of(html), NULL, want);
}

static void test_shape(void **state) {
    (void)state;
    check("", "");
    check("plain words", "plain words");
    check("<p>one\n  two</p>\n<p>three<br>four</p>", "one two\n\nthree\nfour");
    check("<title> The\ntitle </title><body>text", "# The title\n\ntext");
    check("<h1>A</h1>b<h3> C </h3>d", "# A\n\nb\n\n### C\n\nd");
    check("<p>a<b>b</b> <i>c</i>d</p>", "ab cd");
    check("<ul><li>one<li>two<ul><li>deep</ul></ul>end",
          "- one\n- two\n  - deep\n\nend");
    check("<table><tr><th>a<th>b<tr><td>1<td><p>2</p></table>z",
          "a | b\n1 | 2\n\nz");
    check("<pre>a\n  b</pre>c", "a\n  b\n\nc");
    check("<img src=x alt='a cat'>", "[image: a cat]");
    check("&lt;b&gt; &amp; &eacute; &#x263a;", "<b> & \xc3\xa9 \xe2\x98\xba");
}

static void test_links(void **state) {
    (void)state;
    check("<a href=https://b.example/x>there</a>!",
          "there (https://b.example/x)!");
    check("<a href='../up?q=1'>rel</a>", "rel (https://a.example/up?q=1)");
    check("<a href=//c.example>c</a>", "c (https://c.example)");
    check("<a href='javascript:alert(1)'>j</a> <a href='#top'>t</a> "
          "<a href='mailto:a@b'>m</a> <a>n</a> <a href=/x></a>",
          "j t m n");
    check("<base href=http://evil.example/><a href=y>y</a>",
          "y (https://a.example/dir/y)");
}

static void test_hidden(void **state) {
    static const char *const hidden[] = {
        "<script>evil()</script>",
        "<style>evil</style>",
        "<noscript>evil</noscript>",
        "<template>evil</template>",
        "<!-- evil -->",
        "<svg><text>evil</text></svg>",
        "<textarea>evil</textarea>",
        "<iframe>evil</iframe>",
        "<p hidden>evil</p>",
        "<p aria-hidden=TRUE>evil</p>",
        "<p style='display:none'>evil</p>",
        "<p style='color:red; DISPLAY : None !important'>evil</p>",
        "<p style='dis/* */play:none'>evil</p>",
        "<p style='visibility:hidden'>evil</p>",
        "<p style='opacity:0'>evil</p>",
        "<p style='opacity:0.0'>evil</p>",
        "<p style='font-size:0px'>evil</p>",
        "<p style='position:absolute;left:-9999px'>evil</p>",
        "<div style='display:none'><p>evil <b>evil</b></p></div>",
        "<style>.x, #y { display: none }</style><p class='a x'>evil</p>",
        "<style>a{} #y{font-size:0}</style><p id=y>evil</p>",
        "<style>aside{display:none}</style><aside>evil</aside>",
        "<input type=hidden value=evil>",
        "<meta content=evil>",
        "<dialog>evil</dialog>"};

    (void)state;
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        char html[512];

        (void)snprintf(html, sizeof html, "<body>a %s b", hidden[i]);
        check(html, "a b");
    }
}

/* What only looks like hiding is shown. */
static void test_shown(void **state) {
    (void)state;
    check("<p style='font-size:0.8em'>a</p>", "a");
    check("<p style='opacity:0.5'>a</p>", "a");
    check("<p style='display:block'>a</p>", "a");
    check("<p style='-x-display:none'>a</p>", "a");
    check("<p aria-hidden=false>a</p>", "a");
    check("<style>.x{display:none}</style><p class=xx>a</p>", "a");
    check("<style>.,#{display:none}</style><p class=x id=y>a</p>", "a");
    check("<style>@media print{p{display:none}}</style><p>a</p>", "a");
    check("<style>p:hover{display:none}</style><p>a</p>", "a");
    check("<p style='left:-3px'>a</p>", "a");
    check("<dialog open>a</dialog>", "a");
}

static void test_charset(void **state) {
    (void)state;
    check("\xc3\xa9", "\xc3\xa9");
    check_bytes(span_of("\xe9"), NULL, "\xc3\xa9");
    check_bytes(span_of("\xe9"), "iso-8859-1", "\xc3\xa9");
    check_bytes(span_of("\xcf\xf0\xe8"), "windows-1251",
                "\xd0\x9f\xd1\x80\xd0\xb8");
    check_bytes(span_of("<meta charset=windows-1251>\xcf\xf0\xe8"), NULL,
                "\xd0\x9f\xd1\x80\xd0\xb8");
    check_bytes(span_of("\xe9"), "no-such-charset", "\xc3\xa9");
    check_bytes((struct span){"\xff\xfe<\0b\0>\0h\0i\0", 12}, NULL, "hi");
}

/* Wherever it is cut, the text is the beginning of the whole one. */
static void test_cut(void **state) {
    static const char html[] = "<h1>\xc3\xa9t\xc3\xa9</h1><p>two "
                               "<a href=http://b.example/>x</a></p>";
    static const char whole[] =
        "# \xc3\xa9t\xc3\xa9\n\ntwo x (http://b.example/)";

    (void)state;
    for (size_t limit = 1; limit < sizeof whole; limit++) {
        struct bytes out = {.limit = limit};
        bool cut;

        assert_true(readable_html(&out, span_of(html), NULL, NULL, &cut, NULL));
        assert_int_equal(cut, limit < sizeof whole - 1);
        assert_true(out.size <= limit);
        assert_true(utf8_valid(span_bytes(&out)));
        assert_memory_equal(out.at ? out.at : "", whole, out.size);
        bytes_free(&out);
    }
}

static void test_hostile(void **state) {
    struct bytes html = {0}, out = {.limit = 1000};
    struct err err = {0};
    bool cut;

    (void)state;
    for (int i = 0; i < 100000; i++) bytes_puts(&html, "<div><ul><li>");
    bytes_puts(&html, "deep");
    if (readable_html(&out, span_bytes(&html), NULL, NULL, &cut, &err))
        assert_true(out.size <= 1000);
    html.size = 0;
    for (int i = 0; i <= READABLE_HTML_BYTES_MAX; i += 16)
        bytes_puts(&html, "0123456789abcdef");
    assert_false(
        readable_html(&out, span_bytes(&html), NULL, NULL, &cut, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    bytes_free(&html);
    bytes_free(&out);
}

static void check_plain(struct span text, const char *charset, size_t limit,
                        const char *want, bool want_cut) {
    struct bytes out = {.limit = limit};
    bool cut;

    assert_true(readable_plain(&out, text, charset, &cut, NULL));
    assert_true(span_is(span_bytes(&out), want));
    assert_int_equal(cut, want_cut);
    bytes_free(&out);
}

static void test_plain(void **state) {
    (void)state;
    check_plain(span_of("a <b>\n"), NULL, 100, "a <b>\n", false);
    check_plain(span_of("\xe9t\xe9"), NULL, 100, "\xc3\xa9t\xc3\xa9", false);
    check_plain(span_of("\xe9t\xe9"), NULL, 4, "\xc3\xa9t", true);
    check_plain(span_of("\xc3\xa9t\xc3\xa9"), NULL, 4, "\xc3\xa9t", true);
    check_plain(span_of("\xcf\xf0"), "windows-1251", 100, "\xd0\x9f\xd1\x80",
                false);
    check_plain(span_of("\xcf\xf0"), "windows-1251", 3, "\xd0\x9f", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),   cmocka_unit_test(test_links),
        cmocka_unit_test(test_hidden),  cmocka_unit_test(test_shown),
        cmocka_unit_test(test_charset), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_plain),
    };

    readable_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
