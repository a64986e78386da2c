/* readable.c - libxml2's HTML parser makes a tree of whatever comes; one walk
 * over it writes the text. The writer holds back blanks and line breaks until
 * something follows, so that the markup's own layout leaves no trace. */
#include "tools/readable.h"

#include <libxml/HTMLparser.h>
#include <libxml/uri.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

enum { DEPTH_MAX = 512, HREF_MAX = 2048, LIST_DEPTH_MAX = 8 };

struct writer {
    struct bytes *out;
    size_t start; /* of our text in `out` */
    int breaks;   /* line breaks owed before the next text */
    bool blank;   /* a blank is owed */
    bool preformatted;
    bool one_line; /* in a table's cell: a break is a blank */
    bool full;
    int lists; /* depth of lists */
    const char *url;
    const struct hiding *hiding;
};

/* Names of classes, ids and elements that a style sheet in the page hides. */
struct hiding {
    char *names[READABLE_HIDING_MAX]; /* ".class", "#id" or "element" */
    int count;
};

/* ---- the writer ---- */

static void put(struct writer *w, struct span s) {
    if (w->full) return;
    if (s.size > w->out->limit - w->out->size) {
        s.size = w->out->limit - w->out->size;
        s.size = utf8_complete(s);
        w->full = true;
    }
    if (s.size) bytes_put(w->out, s);
}

static void put_owed(struct writer *w) {
    if (w->one_line && w->breaks) {
        w->breaks = 0;
        w->blank = true;
    }
    if (w->out->size == w->start) {
        w->breaks = 0;
    } else if (w->breaks) {
        put(w, span_slice(span_of("\n\n"), 0, (size_t)w->breaks));
    } else if (w->blank) {
        put(w, span_of(" "));
    }
    w->breaks = 0;
    w->blank = false;
}

static void put_words(struct writer *w, struct span s) {
    put_owed(w);
    put(w, s);
}

static void owe_breaks(struct writer *w, int count) {
    if (w->breaks < count) w->breaks = count;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void put_text(struct writer *w, const char *text) {
    while (*text && !w->full) {
        size_t n = 0;

        if (w->preformatted) {
            put_words(w, span_of(text));
            return;
        }
        while (is_blank(*text)) {
            w->blank = true;
            text++;
        }
        while (text[n] && !is_blank(text[n])) n++;
        if (n) put_words(w, (struct span){text, n});
        text += n;
    }
}

/* ---- what is not shown ---- */

static char *attribute(const xmlNode *node, const char *name) {
    return (char *)xmlGetNoNsProp(node, (const xmlChar *)name);
}

static bool has_attribute(const xmlNode *node, const char *name) {
    return xmlHasProp(node, (const xmlChar *)name) != NULL;
}

/* Lower case, no blanks, no comments: "display:none;color:red". */
static char *squeeze(const char *style) {
    char *out = xalloc(strlen(style) + 1);
    size_t n = 0;

    for (; *style; style++) {
        if (style[0] == '/' && style[1] == '*') {
            const char *end = strstr(style + 2, "*/");

            if (!end) break;
            style = end + 1;
        } else if (!is_blank(*style)) {
            bool upper = *style >= 'A' && *style <= 'Z';

            out[n++] = (char)(*style + (upper ? 32 : 0));
        }
    }
    return out;
}

static bool ends_value(char c) {
    return !c || c == ';' || c == '!' || c == '}';
}

/* "font-size:0", "0px", "0.0em", but not "0.8em". */
static bool is_zero(const char *value) {
    bool digit = false;

    for (; (*value >= '0' && *value <= '9') || *value == '.'; value++) {
        if (*value > '0') return false;
        digit |= *value == '0';
    }
    return digit;
}

static bool declares(const char *style, const char *property,
                     const char *value) {
    size_t size = strlen(property);
    const char *at = style;

    while ((at = strstr(at, property))) {
        bool first = at == style || at[-1] == ';' || at[-1] == '{';

        at += size;
        if (!first || *at != ':') continue;
        at++;
        if (value ? !strncmp(at, value, strlen(value)) &&
                        ends_value(at[strlen(value)])
                  : is_zero(at))
            return true;
    }
    return false;
}

/* Far off to the left or above, the old way to hide a text. */
static bool is_far_away(const char *style) {
    static const char *const ways[] = {"left:-", "top:-", "text-indent:-"};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *at = strstr(style, ways[i]);

        if (at && strtol(at + strlen(ways[i]), NULL, 10) >= 500) return true;
    }
    return false;
}

static bool style_hides(const char *text) {
    char *style = squeeze(text);
    bool hides = declares(style, "display", "none") ||
                 declares(style, "visibility", "hidden") ||
                 declares(style, "visibility", "collapse") ||
                 declares(style, "content-visibility", "hidden") ||
                 declares(style, "opacity", NULL) ||
                 declares(style, "font-size", NULL) ||
                 declares(style, "clip-path", "inset(100%)") ||
                 is_far_away(style);

    free(style);
    return hides;
}

/* One selector of a rule that hides: only the simple ones are understood. */
static void hide_name(struct hiding *h, struct span name) {
    while (name.size && is_blank(*name.at))
        name = span_slice(name, 1, name.size);
    while (name.size && is_blank(name.at[name.size - 1])) name.size--;
    if (!name.size || name.size > 128 || h->count == READABLE_HIDING_MAX)
        return;
    for (size_t i = 1; i < name.size; i++)
        if (strchr(" \t\n\r\f.#:>+~[*,@{}", name.at[i])) return;
    if (*name.at == '@' || *name.at == '*') return;
    if (name.size == 1 && (*name.at == '.' || *name.at == '#')) return;
    h->names[h->count++] = span_dup(name);
}

static void hide_rule(struct hiding *h, struct span selectors,
                      struct span declarations) {
    char *style = span_dup(declarations);
    bool hides = style_hides(style);

    free(style);
    while (hides && selectors.size) {
        size_t end = span_find(selectors, span_of(","));

        if (end > selectors.size) end = selectors.size;
        hide_name(h, span_slice(selectors, 0, end));
        selectors = span_slice(selectors, end + 1, selectors.size);
    }
}

/* The rules at the top of a style sheet; those inside @media and the like
 * depend on who looks, and are left alone. */
static void read_style(struct hiding *h, struct span css) {
    size_t from = 0, open = 0;
    int depth = 0;

    for (size_t i = 0; i < css.size; i++) {
        if (css.at[i] == '{' && depth++ == 0) {
            open = i;
        } else if (css.at[i] == '}' && depth > 0 && --depth == 0) {
            hide_rule(h, span_slice(css, from, open),
                      span_slice(css, open + 1, i));
            from = i + 1;
        } else if (css.at[i] == ';' && depth == 0) {
            from = i + 1;
        }
    }
}

static bool is(const xmlNode *node, const char *name) {
    return !strcasecmp((const char *)node->name, name);
}

static bool is_one_of(const xmlNode *node, const char *const *names) {
    for (; *names; names++)
        if (is(node, *names)) return true;
    return false;
}

static bool has_word(const char *list, const char *word) {
    size_t size = strlen(word);

    for (const char *at = list; (at = strstr(at, word)); at += size)
        if ((at == list || is_blank(at[-1])) &&
            (!at[size] || is_blank(at[size])))
            return true;
    return false;
}

static bool name_hides(const struct hiding *h, const xmlNode *node) {
    char *classes = attribute(node, "class");
    char *id = attribute(node, "id");
    bool hides = false;

    for (int i = 0; i < h->count && !hides; i++) {
        const char *name = h->names[i];

        if (*name == '.')
            hides = classes && has_word(classes, name + 1);
        else if (*name == '#')
            hides = id && !strcmp(id, name + 1);
        else
            hides = is(node, name);
    }
    xmlFree(classes);
    xmlFree(id);
    return hides;
}

static bool is_hidden(const struct writer *w, const xmlNode *node) {
    static const char *const never[] = {
        "script", "style",    "noscript", "template", "head",   "svg",
        "math",   "iframe",   "object",   "embed",    "canvas", "audio",
        "video",  "datalist", "select",   "textarea", "map",    "noframes",
        "dialog", "param",    "meta",     "link",     NULL};
    char *style, *aria;
    bool hidden;

    if (is(node, "dialog") && has_attribute(node, "open")) return false;
    if (is_one_of(node, never) || has_attribute(node, "hidden")) return true;
    style = attribute(node, "style");
    aria = attribute(node, "aria-hidden");
    hidden = (style && style_hides(style)) ||
             (aria && !strcasecmp(aria, "true")) || name_hides(w->hiding, node);
    xmlFree(style);
    xmlFree(aria);
    return hidden;
}

/* ---- the walk ---- */

static void walk(struct writer *w, const xmlNode *node, int depth);

static void walk_children(struct writer *w, const xmlNode *node, int depth) {
    for (const xmlNode *child = node->children; child && !w->full;
         child = child->next)
        walk(w, child, depth + 1);
}

/* The link's target, in full, when it is one for the web. */
static char *target(const struct writer *w, const xmlNode *node) {
    char *href = attribute(node, "href");
    xmlChar *full = NULL;
    char *out = NULL;

    if (href && *href && *href != '#' && strlen(href) < HREF_MAX)
        full = w->url ? xmlBuildURI((xmlChar *)href, (const xmlChar *)w->url)
                      : xmlStrdup((xmlChar *)href);
    if (full &&
        (!strncasecmp((char *)full, "http://", 7) ||
         !strncasecmp((char *)full, "https://", 8)) &&
        !strpbrk((char *)full, " \t\r\n<>\"") &&
        strlen((char *)full) < HREF_MAX)
        out = xstrdup((char *)full);
    xmlFree(full);
    xmlFree(href);
    return out;
}

static void walk_link(struct writer *w, const xmlNode *node, int depth) {
    size_t before = w->out->size;
    char *url = target(w, node);

    walk_children(w, node, depth);
    if (url && w->out->size > before) {
        put(w, span_of(" ("));
        put(w, span_of(url));
        put(w, span_of(")"));
    }
    free(url);
}

static void walk_item(struct writer *w, const xmlNode *node, int depth) {
    static const char indent[] = "                ";
    int level = w->lists > LIST_DEPTH_MAX ? LIST_DEPTH_MAX : w->lists;

    owe_breaks(w, 1);
    put_owed(w);
    if (level > 1) put(w, (struct span){indent, (size_t)(level - 1) * 2});
    put(w, span_of("-"));
    w->blank = true;
    walk_children(w, node, depth);
    owe_breaks(w, 1);
}

/* A page laid out as a table has its paragraphs in the cells. */
static bool has_blocks(const xmlNode *node, int depth) {
    static const char *const blocks[] = {"table", "ul", "ol", "pre", "h1",
                                         "h2",    "h3", "h4", NULL};

    if (depth > DEPTH_MAX) return true;
    for (const xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_ELEMENT_NODE &&
            (is_one_of(child, blocks) || has_blocks(child, depth + 1)))
            return true;
    return false;
}

static void walk_cell(struct writer *w, const xmlNode *node, int depth) {
    bool one_line = w->one_line;

    w->one_line = one_line || !has_blocks(node, depth);
    walk_children(w, node, depth);
    if (w->one_line) w->breaks = 0;
    w->one_line = one_line;
}

static void walk_row(struct writer *w, const xmlNode *node, int depth) {
    static const char *const cells[] = {"td", "th", NULL};
    bool first = true;

    owe_breaks(w, 1);
    for (const xmlNode *cell = node->children; cell && !w->full;
         cell = cell->next) {
        if (cell->type != XML_ELEMENT_NODE || !is_one_of(cell, cells) ||
            is_hidden(w, cell))
            continue;
        if (first)
            put_owed(w);
        else
            put(w, span_of(" |"));
        w->blank = !first;
        first = false;
        walk_cell(w, cell, depth + 1);
    }
    owe_breaks(w, 1);
}

static void walk_heading(struct writer *w, const xmlNode *node, int depth) {
    size_t level = (size_t)(node->name[1] - '0');

    owe_breaks(w, 2);
    put_owed(w);
    put(w, span_slice(span_of("######"), 0, level));
    w->blank = true;
    walk_children(w, node, depth);
    owe_breaks(w, 2);
}

static void walk_image(struct writer *w, const xmlNode *node) {
    char *alt = attribute(node, "alt");

    if (alt && *alt) {
        put_words(w, span_of("[image: "));
        put_text(w, alt);
        put(w, span_of("]"));
    }
    xmlFree(alt);
}

static bool is_heading(const xmlNode *node) {
    return (node->name[0] == 'h' || node->name[0] == 'H') &&
           node->name[1] >= '1' && node->name[1] <= '6' && !node->name[2];
}

/* How many line breaks an element has around it. */
static int breaks_of(const xmlNode *node) {
    static const char *const two[] = {
        "p",       "ul",         "ol", "table",  "pre", "article", "main",
        "section", "blockquote", "dl", "figure", "hr",  NULL};
    static const char *const one[] = {
        "div",     "tr",         "dt",      "dd",      "header",
        "footer",  "nav",        "li",      "form",    "aside",
        "address", "caption",    "option",  "center",  "fieldset",
        "legend",  "figcaption", "summary", "details", NULL};

    return is_one_of(node, two) ? 2 : is_one_of(node, one) ? 1 : 0;
}

static void walk_block(struct writer *w, const xmlNode *node, int depth) {
    bool list = is(node, "ul") || is(node, "ol");
    bool preformatted = w->preformatted;
    int breaks = breaks_of(node);

    if (list && w->lists) breaks = 1;
    owe_breaks(w, breaks);
    w->lists += list;
    if (is(node, "pre")) w->preformatted = true;
    walk_children(w, node, depth);
    w->preformatted = preformatted;
    w->lists -= list;
    owe_breaks(w, breaks);
}

static void walk(struct writer *w, const xmlNode *node, int depth) {
    if (w->full || depth > DEPTH_MAX) return;
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
        if (node->content) put_text(w, (const char *)node->content);
        return;
    }
    if (node->type != XML_ELEMENT_NODE || is_hidden(w, node)) return;
    if (is(node, "br"))
        owe_breaks(w, 1);
    else if (is(node, "img"))
        walk_image(w, node);
    else if (is(node, "a"))
        walk_link(w, node, depth);
    else if (is(node, "li"))
        walk_item(w, node, depth);
    else if (is(node, "tr"))
        walk_row(w, node, depth);
    else if (is_heading(node))
        walk_heading(w, node, depth);
    else
        walk_block(w, node, depth);
}

/* ---- title and style sheets, wherever they stand ---- */

static void look_around(const xmlNode *node, struct hiding *h,
                        const xmlNode **title, int depth) {
    for (; node && depth < DEPTH_MAX; node = node->next) {
        if (node->type != XML_ELEMENT_NODE) continue;
        if (is(node, "style") && node->children && node->children->content)
            read_style(h, span_of((const char *)node->children->content));
        if (is(node, "title") && !*title) *title = node;
        look_around(node->children, h, title, depth + 1);
    }
}

static void write_tree(struct writer *w, const xmlNode *root) {
    struct hiding hiding = {.count = 0};
    const xmlNode *title = NULL;

    w->hiding = &hiding;
    look_around(root, &hiding, &title, 0);
    if (title && title->children && title->children->content) {
        put_text(w, "# ");
        put_text(w, (const char *)title->children->content);
        w->breaks = 2;
    }
    w->blank = false;
    if (root) walk(w, root, 0);
    for (int i = 0; i < hiding.count; i++) free(hiding.names[i]);
}

/* ---- the face ---- */

void readable_init(void) {
    xmlInitParser();
}

/* Libxml2 talks on standard error of what it meets, unless each thread says
 * that it does not want to know. */
static void on_complaint(void *user, xmlErrorPtr error) {
    (void)user;
    (void)error;
}

static void be_quiet(void) {
    xmlSetStructuredErrorFunc(NULL, on_complaint);
}

/* Bytes that are UTF-8 are UTF-8, whatever a page says of itself. */
static const char *encoding_of(struct span s, const char *charset) {
    xmlCharEncodingHandlerPtr handler;

    if (utf8_valid(s)) return "UTF-8";
    if (!charset) return NULL;
    handler = xmlFindCharEncodingHandler(charset);
    if (!handler) return NULL;
    (void)xmlCharEncCloseFunc(handler);
    return charset;
}

bool readable_html(struct bytes *out, struct span html, const char *url,
                   const char *charset, bool *cut, struct err *err) {
    struct writer w = {.out = out, .start = out->size, .url = url};
    htmlDocPtr doc;

    *cut = false;
    if (html.size > READABLE_HTML_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the page is too large");
    if (!html.size) return true;
    be_quiet();
    doc = htmlReadMemory(html.at, (int)html.size, NULL,
                         encoding_of(html, charset),
                         HTML_PARSE_RECOVER | HTML_PARSE_NOERROR |
                             HTML_PARSE_NOWARNING | HTML_PARSE_NONET);
    if (!doc) return err_set(err, ERR_INPUT, "the page cannot be read");
    write_tree(&w, xmlDocGetRootElement(doc));
    xmlFreeDoc(doc);
    *cut = w.full;
    if (utf8_valid(span_slice(span_bytes(out), w.start, out->size)))
        return true;
    out->size = w.start;
    return err_set(err, ERR_INPUT, "the page's charset is broken");
}

static bool put_point(struct bytes *out, uint32_t point) {
    char at[UTF8_MAX];
    size_t size = utf8_encode(point, at);

    if (size > out->limit - out->size) return false;
    bytes_put(out, (struct span){at, size});
    return true;
}

/* Another charset: libxml2's converter, else Latin-1. */
static bool put_converted(struct bytes *out, struct span text,
                          const char *charset, bool *cut) {
    xmlCharEncodingHandlerPtr handler =
        charset ? xmlFindCharEncodingHandler(charset) : NULL;
    xmlBufferPtr in = xmlBufferCreateSize(text.size + 1);
    xmlBufferPtr to = xmlBufferCreate();
    struct span got;
    bool ok = false;

    be_quiet();
    xmlBufferAdd(in, (const xmlChar *)text.at, (int)text.size);
    if (handler) ok = xmlCharEncInFunc(handler, to, in) >= 0;
    got = (struct span){(const char *)xmlBufferContent(to),
                        (size_t)xmlBufferLength(to)};
    if (ok && utf8_valid(got)) {
        *cut = got.size > out->limit - out->size;
        if (*cut) {
            got.size = out->limit - out->size;
            got.size = utf8_complete(got);
        }
        bytes_put(out, got);
    } else {
        for (size_t i = 0; i < text.size && !*cut; i++)
            *cut = !put_point(out, (unsigned char)text.at[i]);
    }
    if (handler) (void)xmlCharEncCloseFunc(handler);
    xmlBufferFree(in);
    xmlBufferFree(to);
    return true;
}

bool readable_plain(struct bytes *out, struct span text, const char *charset,
                    bool *cut, struct err *err) {
    size_t room = out->limit - out->size;

    *cut = false;
    if (text.size > READABLE_HTML_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the text is too large");
    if (!utf8_valid(text)) return put_converted(out, text, charset, cut);
    *cut = text.size > room;
    if (*cut) {
        text.size = room;
        text.size = utf8_complete(text);
    }
    bytes_put(out, text);
    return true;
}
