/* Keys that open something: known by their issuer's prefix, by the name of the
 * field they stand in, or by the lines around them. */
#include <pthread.h>
#include <string.h>

#include "guard/entity_forms.h"

enum { URL_LOGIN_MAX = 160 };

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
    {"abia", ALNUM, 16, 16, true},
    {"acca", ALNUM, 16, 16, true},
    {"ghp_", ALNUM, 30, 0, false},
    {"gho_", ALNUM, 30, 0, false},
    {"ghu_", ALNUM, 30, 0, false},
    {"ghs_", ALNUM, 30, 0, false},
    {"ghr_", ALNUM, 30, 0, false},
    {"github_pat_", WITH_DASH, 40, 0, false},
    {"glpat-", WITH_DASH, 20, 0, false},
    {"gldt-", WITH_DASH, 20, 0, false},
    {"glrt-", WITH_DASH, 20, 0, false},
    {"glcbt-", WITH_DASH, 20, 0, false},
    {"glptt-", HEX, 40, 0, false},
    {"glft-", WITH_DASH, 20, 0, false},
    {"glsoat-", WITH_DASH, 20, 0, false},
    {"glimt-", WITH_DASH, 25, 0, false},
    {"glagent-", WITH_DASH, 50, 0, false},
    {"sk-", WITH_DASH, 20, 0, true},
    {"sk", HEX, 32, 32, false},
    {"sk_live_", ALNUM, 16, 0, false},
    {"sk_test_", ALNUM, 16, 0, false},
    {"rk_live_", ALNUM, 16, 0, false},
    {"rk_test_", ALNUM, 16, 0, false},
    {"whsec_", ALNUM, 16, 0, false},
    {"aiza", WITH_DASH, 35, 35, false},
    {"gocspx-", WITH_DASH, 28, 0, false},
    {"ya29.", WITH_DASH, 20, 0, true},
    {"xoxb-", WITH_DASH, 10, 0, false},
    {"xoxa-", WITH_DASH, 10, 0, false},
    {"xoxp-", WITH_DASH, 10, 0, false},
    {"xoxr-", WITH_DASH, 10, 0, false},
    {"xoxs-", WITH_DASH, 10, 0, false},
    {"xoxe-", WITH_DASH, 20, 0, false},
    {"xapp-", WITH_DASH, 20, 0, true},
    {"hf_", ALNUM, 30, 0, false},
    {"api_org_", ALNUM, 34, 0, false},
    {"gsk_", ALNUM, 40, 0, false},
    {"xai-", ALNUM, 60, 0, false},
    {"pplx-", ALNUM, 40, 0, false},
    {"r8_", ALNUM, 37, 0, false},
    {"pcsk_", WITH_DASH, 40, 0, false},
    {"lsv2_", WITH_DASH, 32, 0, false},
    {"npm_", ALNUM, 36, 0, false},
    {"pypi-", WITH_DASH, 50, 0, false},
    {"rubygems_", HEX, 48, 0, false},
    {"dckr_pat_", WITH_DASH, 27, 0, false},
    {"dop_v1_", HEX, 64, 0, false},
    {"doo_v1_", HEX, 64, 0, false},
    {"dor_v1_", HEX, 64, 0, false},
    {"sg.", WITH_DASH, 20, 0, true},
    {"key-", HEX, 32, 32, false},
    {"xkeysib-", WITH_DASH, 64, 0, false},
    {"shpat_", HEX, 32, 0, false},
    {"shpca_", HEX, 32, 0, false},
    {"shppa_", HEX, 32, 0, false},
    {"shpss_", HEX, 32, 0, false},
    {"sq0atp-", WITH_DASH, 22, 0, false},
    {"sq0csp-", WITH_DASH, 43, 0, false},
    {"flwseck_", WITH_DASH, 32, 0, false},
    {"ezak", ALNUM, 54, 54, false},
    {"dapi", HEX, 32, 32, false},
    {"nrak-", ALNUM, 27, 0, false},
    {"glsa_", WITH_DASH, 41, 0, false},
    {"glc_", ALNUM, 32, 0, false},
    {"sntrys_", WITH_DASH, 40, 0, false},
    {"sntryu_", HEX, 64, 0, false},
    {"dt0c01.", WITH_DASH, 24, 0, false},
    {"hvs.", WITH_DASH, 24, 0, true},
    {"hvb.", WITH_DASH, 24, 0, true},
    {"dp.pt.", ALNUM, 40, 0, false},
    {"dp.st.", WITH_DASH, 40, 0, false},
    {"pul-", HEX, 40, 0, false},
    {"pscale_", WITH_DASH, 36, 0, false},
    {"sbp_", HEX, 40, 0, false},
    {"lin_api_", ALNUM, 40, 0, false},
    {"ntn_", ALNUM, 43, 0, false},
    {"secret_", ALNUM, 43, 0, true},
    {"pmak-", WITH_DASH, 59, 0, false},
    {"figd_", WITH_DASH, 40, 0, false},
    {"atatt3", WITH_DASH, 100, 0, false},
    {"hrku-", WITH_DASH, 36, 0, false},
    {"tfp_", WITH_DASH, 40, 0, false},
    {"rdme_", ALNUM, 64, 0, false},
    {"nfp_", ALNUM, 36, 0, false},
    {"tskey-", WITH_DASH, 20, 0, true},
    {"age-secret-key-1", ALNUM, 58, 58, false}};

/* Fields whose value is a secret when it looks random. */
static const char *const fields[] = {"api_key",
                                     "api-key",
                                     "apikey",
                                     "api key",
                                     "secret_key",
                                     "secret",
                                     "client_secret",
                                     "access_token",
                                     "auth_token",
                                     "access_key",
                                     "secretkey",
                                     "token",
                                     "accountkey",
                                     "sharedaccesskey",
                                     "authorization",
                                     "bearer",
                                     "aws_secret_access_key"};

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
static const char web_token_start[] = "eyj";

static size_t web_token(struct form *f, size_t at) {
    size_t end = at, part;

    for (int i = 0; i < 3; i++) {
        if (i < 2 && !form_word(f, end, web_token_start)) return 0;
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

static const char *const schemes[] = {
    "postgres://",    "postgresql://", "mysql://", "mongodb://",
    "mongodb+srv://", "redis://",      "amqp://",  "https://"};

/* scheme://user:password@: the password, when it is no placeholder. */
static size_t url_password(struct form *f, size_t at, size_t *from) {
    size_t end = 0, start = 0, most;

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes && !end; i++)
        if (schemes[i][0] == form_lower(form_byte(f, at)) &&
            form_word(f, at, schemes[i]))
            end = at + strlen(schemes[i]);
    if (!end) return 0;
    for (most = end + URL_LOGIN_MAX; end < most; end++) {
        int c = form_byte(f, end);

        if (c == '@') break;
        if (c == ':' && !start) start = end + 1;
        if (c <= ' ' || c == '/' || c == '"' || c == '<' || c == '{') return 0;
    }
    if (end == most || !start || !looks_random(span_slice(f->text, start, end)))
        return 0;
    *from = start;
    return end;
}

/* By the first letter of a word: what may stand second, of all that begins one
 * above; a letter and a sign share a bit. */
static uint32_t seconds[1 + 'z' - 'a'];

static void note_start(const char *word) {
    seconds[word[0] - 'a'] |= UINT32_C(1) << (word[1] & 31);
}

static void note_starts(void) {
    for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++)
        note_start(vendors[i].prefix);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        note_start(fields[i]);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        note_start(schemes[i]);
    note_start(web_token_start);
}

/* Most words begin no key, as their first two letters tell. */
static bool may_be_key(const struct form *f, size_t at) {
    static pthread_once_t noted = PTHREAD_ONCE_INIT;
    int first = form_lower((unsigned char)f->text.at[at]);

    (void)pthread_once(&noted, note_starts);
    if (at + 1 >= f->text.size) return true; /* it is asked what follows */
    return seconds[first - 'a'] >> (f->text.at[at + 1] & 31) & 1;
}

/* form_word() behind its first letter, which is known. */
static bool may_go_on(struct form *f, size_t at, const char *word) {
    return form_lower(form_byte(f, at + 1)) == word[1];
}

size_t form_api_key(struct form *f, size_t at) {
    size_t end = 0, longest = 0, from = at;
    int first = form_lower(form_byte(f, at));

    if (!may_be_key(f, at)) return 0;
    for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++) {
        if (vendors[i].prefix[0] != first ||
            !may_go_on(f, at, vendors[i].prefix))
            continue;
        end = vendor_key(f, at, &vendors[i]);
        if (end > longest) longest = end;
    }
    if (!longest && first == 'e') longest = web_token(f, at);
    if (!longest) longest = url_password(f, at, &from);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i][0] != first || !may_go_on(f, at, fields[i])) continue;
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
