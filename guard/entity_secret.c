/* Keys that open something: known by their issuer's prefix, by the name of the
 * field they stand in, or by the lines around them. */
#include <string.h>

#include "guard/entity_forms.h"

enum letters { ALNUM, WITH_DASH, HEX };

struct vendor {
    const char *prefix; /* lower case: views are folded */
    enum letters letters;
    size_t least;
    size_t exact; /* 0: as long as it goes */
    bool mixed;   /* must look random: its prefix is also a plain word's */
};

static const struct vendor vendors[] = {
    {"akia", ALNUM, 16, 16, false},
    {"asia", ALNUM, 16, 16, true},
    {"ghp_", ALNUM, 30, 0, false},
    {"gho_", ALNUM, 30, 0, false},
    {"ghu_", ALNUM, 30, 0, false},
    {"ghs_", ALNUM, 30, 0, false},
    {"ghr_", ALNUM, 30, 0, false},
    {"github_pat_", WITH_DASH, 40, 0, false},
    {"glpat-", WITH_DASH, 20, 0, false},
    {"sk-", WITH_DASH, 20, 0, true},
    {"sk_live_", ALNUM, 16, 0, false},
    {"sk_test_", ALNUM, 16, 0, false},
    {"rk_live_", ALNUM, 16, 0, false},
    {"whsec_", ALNUM, 16, 0, false},
    {"aiza", WITH_DASH, 35, 35, false},
    {"xoxb-", WITH_DASH, 10, 0, false},
    {"xoxa-", WITH_DASH, 10, 0, false},
    {"xoxp-", WITH_DASH, 10, 0, false},
    {"xoxr-", WITH_DASH, 10, 0, false},
    {"xoxs-", WITH_DASH, 10, 0, false},
    {"hf_", ALNUM, 30, 0, false},
    {"npm_", ALNUM, 36, 0, false},
    {"pypi-", WITH_DASH, 50, 0, false},
    {"dop_v1_", HEX, 64, 0, false},
    {"sg.", WITH_DASH, 20, 0, true},
    {"ya29.", WITH_DASH, 20, 0, true}};

/* Fields whose value is a secret when it looks random. */
static const char *const fields[] = {
    "api_key",       "api-key",      "apikey",
    "api key",       "secret_key",   "secret",
    "client_secret", "access_token", "auth_token",
    "access_key",    "secretkey",    "token",
    "authorization", "bearer",       "aws_secret_access_key"};

static bool is_key_letter(int c, enum letters letters) {
    if (letters == HEX) return form_is_hex(c);
    return form_is_alnum(c) || (letters == WITH_DASH && (c == '-' || c == '_'));
}

static size_t run(struct form *f, size_t at, enum letters letters,
                  size_t most) {
    size_t end = at;

    while (end - at < most && is_key_letter(form_byte(f, end), letters)) end++;
    return end;
}

/* Letters and digits, and many different ones: a word or a number is not. */
static bool looks_random(struct span s) {
    bool seen[128] = {false}, digit = false, letter = false;
    int different = 0;

    for (size_t i = 0; i < s.size; i++) {
        int c = form_lower((unsigned char)s.at[i]);

        digit = digit || form_is_digit(c);
        letter = letter || form_is_letter(c);
        if (c < 128 && !seen[c]) {
            seen[c] = true;
            different++;
        }
    }
    return digit && letter && different >= 8;
}

static size_t vendor_key(struct form *f, size_t at, const struct vendor *v) {
    size_t from, end;

    if (!form_word(f, at, v->prefix)) return 0;
    from = at + strlen(v->prefix);
    end = run(f, from, v->letters, v->exact ? v->exact : ENTITY_KEY_MAX);
    if (end - from < v->least) return 0;
    if (v->exact && form_is_alnum(form_byte(f, end))) return 0;
    if (v->mixed && !looks_random(span_slice(f->text, from, end))) return 0;
    /* SendGrid's and Google's have more parts. */
    while (end - at < ENTITY_KEY_MAX && form_byte(f, end) == '.' &&
           strchr(v->prefix, '.') &&
           is_key_letter(form_byte(f, end + 1), WITH_DASH))
        end = run(f, end + 1, WITH_DASH, ENTITY_KEY_MAX);
    return end;
}

/* header.payload.signature, the first two JSON objects in base64url. */
static size_t web_token(struct form *f, size_t at) {
    size_t end = at, part;

    for (int i = 0; i < 3; i++) {
        if (i < 2 && !form_word(f, end, "eyj")) return 0;
        part = end;
        end = run(f, part, WITH_DASH, ENTITY_JWT_MAX / 3);
        if (end - part < 8) return 0;
        if (i == 2) break;
        if (form_byte(f, end) != '.') return 0;
        end++;
    }
    return end;
}

static size_t skip_blanks(struct form *f, size_t at) {
    for (int i = 0; i < 4 && form_byte(f, at) == ' '; i++) at++;
    return at;
}

/* name = "value", name: value, "name": "value", Bearer value. */
static size_t field_value(struct form *f, size_t at, const char *name) {
    size_t from, end, blank;
    int c;
    bool told = false;

    if (!form_word(f, at, name)) return 0;
    from = at + strlen(name);
    c = form_byte(f, from);
    if (c == '"' || c == '\'') from++;
    blank = from;
    from = skip_blanks(f, from);
    c = form_byte(f, from);
    if (c == ':' || c == '=') {
        told = true;
        from = skip_blanks(f, from + 1);
        c = form_byte(f, from);
    }
    if (!told && (strcmp(name, "bearer") != 0 || from == blank)) return 0;
    if (c == '"' || c == '\'') from++;
    for (end = from; end - from < ENTITY_KEY_MAX; end++) {
        c = form_byte(f, end);
        if (!is_key_letter(c, WITH_DASH) && c != '.' && c != '/' && c != '+' &&
            c != '=')
            break;
    }
    if (end - from < 16 || !looks_random(span_slice(f->text, from, end)))
        return 0;
    f->from = from;
    return end;
}

/* Most words begin no key: the first letter tells. */
size_t form_api_key(struct form *f, size_t at) {
    size_t end = 0, longest = 0, from = at;
    int first = form_lower(form_byte(f, at));

    for (size_t i = 0; i < sizeof vendors / sizeof *vendors && !longest; i++)
        if (vendors[i].prefix[0] == first)
            longest = vendor_key(f, at, &vendors[i]);
    if (!longest && first == 'e') longest = web_token(f, at);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i][0] != first) continue;
        end = field_value(f, at, fields[i]);
        if (end <= longest) continue;
        longest = end;
        from = f->from;
    }
    f->from = from;
    return longest;
}

size_t form_private_key(struct form *f, size_t at) {
    static const char mark[] = "-----end ";
    size_t i = at + 11, most = at + ENTITY_PEM_MAX, size = f->text.size;

    if (!form_word(f, at, "-----begin ")) return 0;
    while (!form_word(f, i, "private key")) {
        int c = form_byte(f, i);

        if (i - at > 40 || !(form_is_alnum(c) || c == ' ')) return 0;
        i++;
    }
    for (; i < most; i++) {
        int c = form_byte(f, i);
        size_t end = i + sizeof mark - 1;

        if (c < 0) return size; /* a key cut short is still a key's part */
        if (c != '-' || !form_word(f, i, mark)) continue;
        while (end < most && form_byte(f, end) != '-' && end - i < 60) end++;
        while (end < most && form_byte(f, end) == '-') end++;
        return end < size ? end : size;
    }
    return most < size ? most : size;
}
