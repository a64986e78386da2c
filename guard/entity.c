#include "guard/entity.h"

#include <string.h>

#include "guard/entity_forms.h"

static const char *const kind_names[ENTITY_KIND_COUNT] = {
    "email",     "phone",           "iban",        "card",
    "ip",        "api_key",         "private_key", "it_cf",
    "fr_nir",    "de_steuer_id",    "de_id_card",  "es_dni",
    "pt_nif",    "br_cpf",          "br_cnpj",     "uk_nhs",
    "uk_nino",   "us_ssn",          "us_itin",     "in_aadhaar",
    "in_pan",    "th_id",           "nl_bsn",      "pl_pesel",
    "be_rrn",    "se_personnummer", "fi_hetu",     "ch_ahv",
    "passport",  "driving_licence", "us_routing",  "vat_id",
    "birth_date"};

#define BIT(kind) (UINT64_C(1) << (kind))

/* From the first to the last of them in the enum. */
#define RANGE(first, last) ((BIT(last) << 1) - BIT(first))
#define NATIONAL RANGE(ENTITY_IT_CF, ENTITY_BIRTH_DATE)

static const struct {
    const char *name;
    uint64_t kinds;
} kind_groups[] = {
    {"national_id", RANGE(ENTITY_IT_CF, ENTITY_CH_AHV)},
    {"identity_document", BIT(ENTITY_PASSPORT) | BIT(ENTITY_DRIVING_LICENCE)},
    {"account", BIT(ENTITY_IBAN) | BIT(ENTITY_CARD) | BIT(ENTITY_US_ROUTING)}};

enum { EMAIL_LOCAL_MAX = 64, EMAIL_DOMAIN_MAX = 253, IP_MAX = 45 };

const char *entity_name(enum entity_kind kind) {
    return kind < ENTITY_KIND_COUNT ? kind_names[kind] : "";
}

uint64_t entity_kinds(const char *name) {
    for (int i = 0; i < ENTITY_KIND_COUNT; i++)
        if (strcmp(name, kind_names[i]) == 0) return BIT(i);
    for (size_t i = 0; i < sizeof kind_groups / sizeof *kind_groups; i++)
        if (strcmp(name, kind_groups[i].name) == 0) return kind_groups[i].kinds;
    return 0;
}

bool form_word(struct form *f, size_t at, const char *word) {
    for (; *word; word++, at++)
        if (form_lower(form_byte(f, at)) != *word) return false;
    return true;
}

/* The size of the name at the start of `names`. */
static size_t name_size(const char *names) {
    const char *end = strchr(names, '|');

    return end ? (size_t)(end - names) : strlen(names);
}

static bool is_name_at(struct span text, size_t i, size_t at, const char *name,
                       size_t size) {
    if (size > at - i) return false;
    for (size_t k = 0; k < size; k++)
        if (form_lower((unsigned char)text.at[i + k]) != (unsigned char)name[k])
            return false;
    /* Scripts without blanks between words run on. */
    return (unsigned char)name[0] >= 0xE0 ||
           !form_is_letter((unsigned char)text.at[i + size]);
}

bool form_is_named(struct span text, size_t at, size_t gap, const char *names) {
    size_t from =
        at > ENTITY_CONTEXT_MAX - 8 ? at - (ENTITY_CONTEXT_MAX - 8) : 0;

    for (size_t i = from; i < at; i++) {
        int before = i ? (unsigned char)text.at[i - 1] : -1;
        const char *name = names;

        if (form_is_alnum(before)) continue;
        for (;;) {
            size_t size = name_size(name);
            bool word = before < 0x80 || (unsigned char)name[0] >= 0xE0;

            if (size && word && size + gap > at - i &&
                is_name_at(text, i, at, name, size))
                return true;
            if (!name[size]) break;
            name += size + 1;
        }
    }
    return false;
}

/* Accented Latin letters, in two bytes, occur in addresses and names. Whether
 * text[at] belongs to one. */
static bool is_accented(struct span text, size_t at) {
    unsigned char c = (unsigned char)text.at[at];

    if (c >= 0xC3 && c <= 0xC9) return true;
    return (c & 0xC0) == 0x80 && at && (unsigned char)text.at[at - 1] >= 0xC3 &&
           (unsigned char)text.at[at - 1] <= 0xC9;
}

static bool is_local(struct span text, size_t at) {
    int c = (unsigned char)text.at[at];

    return form_is_alnum(c) || (c < 0x80 && strchr("._%+'-", c)) ||
           is_accented(text, at);
}

size_t form_email_start(struct span text, size_t at) {
    size_t from = at;

    while (from && at - from < EMAIL_LOCAL_MAX && is_local(text, from - 1))
        from--;
    while (from < at && !form_is_alnum((unsigned char)text.at[from]) &&
           (unsigned char)text.at[from] < 0xC0 && text.at[from] != '_')
        from++;
    return from;
}

size_t form_email(struct form *f, size_t at) {
    size_t from = form_email_start(f->text, at), end = 0, label = at + 1;
    bool letters = true, dotted = false;

    if (from == at || f->text.at[at - 1] == '.') return 0;
    f->from = from;
    for (size_t i = at + 1; i <= at + EMAIL_DOMAIN_MAX; i++) {
        int c = form_byte(f, i);
        bool part = form_is_alnum(c) || c == '-' ||
                    (c >= 0x80 && is_accented(f->text, i));

        if (part) {
            if (c == '-' && i == label) break;
            letters = letters && !form_is_digit(c);
            /* A name's ending is two letters or more, or Punycode. */
            if (dotted && i > label && c != '-' &&
                (letters || form_word(f, label, "xn--")))
                end = i + 1;
            continue;
        }
        if (c != '.' || i == label) break;
        label = i + 1;
        letters = true;
        dotted = true;
    }
    return end;
}

static size_t ip4(struct form *f, size_t at) {
    for (int part = 0; part < 4; part++) {
        int value = 0, digits = 0;

        for (; digits < 4 && form_is_digit(form_byte(f, at)); digits++, at++)
            value = value * 10 + (form_byte(f, at) - '0');
        if (!digits || digits > 3 || value > 255) return 0;
        if (part == 3) break;
        if (form_byte(f, at) != '.') return 0;
        at++;
    }
    if (form_is_alnum(form_byte(f, at))) return 0;
    /* Five numbers are a version, not an address. */
    if (form_byte(f, at) == '.' && form_is_digit(form_byte(f, at + 1)))
        return 0;
    return at;
}

static size_t ip6(struct form *f, size_t at) {
    size_t start = at;
    int groups = 0, digits = 0;
    bool gap = false;

    for (;;) {
        int size = 0;

        while (size < 5 && form_is_hex(form_byte(f, at))) {
            digits += form_is_digit(form_byte(f, at));
            size++;
            at++;
        }
        if (size > 4) return 0;
        groups += size > 0;
        if (groups == 8 || at - start >= IP_MAX) break;
        if (form_byte(f, at) != ':') break;
        if (form_byte(f, at + 1) == ':') {
            if (gap) return 0;
            gap = true;
            at += 2;
            continue;
        }
        /* A colon that no group follows is the sentence's. */
        if (!size || !form_is_hex(form_byte(f, at + 1))) break;
        at++;
    }
    if (form_is_alnum(form_byte(f, at)) || !digits) return 0;
    if (form_byte(f, at) == ':' && form_is_hex(form_byte(f, at + 1))) return 0;
    return (gap ? groups >= 3 && groups < 8 : groups == 8) ? at : 0;
}

static bool is_version(struct span text, size_t at) {
    static const char word[] = "version ";
    size_t size = sizeof word - 1;

    if (at < size) return false;
    for (size_t i = 0; i < size; i++)
        if (form_lower((unsigned char)text.at[at - size + i]) != word[i])
            return false;
    return true;
}

size_t form_ip(struct form *f, size_t at) {
    int before = form_before(f, at);
    size_t end = 0;

    if (before == '.' || before == ':' || form_is_alnum(before)) return 0;
    if (form_is_digit(form_byte(f, at)) && !is_version(f->text, at))
        end = ip4(f, at);
    return end ? end : ip6(f, at);
}

struct walk {
    struct form form;
    uint64_t kinds;
    struct entity_hit *hits;
    int count, max;
    size_t decided, hold;
};

/* Keep the hits in order and apart: those that overlap become one, of the kind
 * of the longer, so that no byte of either is left over. */
static void keep(struct walk *w, struct entity_hit hit) {
    int at = w->count;

    while (at && w->hits[at - 1].end > hit.from) {
        struct entity_hit *old = &w->hits[at - 1];

        if (old->from >= hit.end) {
            at--;
            continue;
        }
        if (old->end - old->from > hit.end - hit.from) hit.kind = old->kind;
        if (old->from < hit.from) hit.from = old->from;
        if (old->end > hit.end) hit.end = old->end;
        memmove(old, old + 1, (size_t)(w->count - at) * sizeof *old);
        w->count--;
        at--;
    }
    if (w->count == w->max) return;
    memmove(&w->hits[at + 1], &w->hits[at],
            (size_t)(w->count - at) * sizeof hit);
    w->hits[at] = hit;
    w->count++;
}

static void answer(struct walk *w, enum entity_kind kind, size_t at,
                   size_t end) {
    size_t from = w->form.from < at ? w->form.from : at;

    if (w->form.touched && from >= w->decided && from < w->hold) w->hold = from;
    /* A key's field name may lie before, when only the key was held. */
    if (end && w->form.from >= w->decided)
        keep(w, (struct entity_hit){kind, w->form.from, end});
}

static void ask(struct walk *w, enum entity_kind kind,
                size_t (*form)(struct form *, size_t), size_t at) {
    if (!(w->kinds & BIT(kind))) return;
    w->form.touched = false;
    w->form.from = at;
    answer(w, kind, at, form(&w->form, at));
}

static void ask_national(struct walk *w, size_t at) {
    enum entity_kind kind = ENTITY_KIND_COUNT;
    size_t end;

    w->form.touched = false;
    w->form.from = at;
    end = form_national(&w->form, at, w->kinds, &kind);
    answer(w, kind, at, end);
}

static void walk(struct walk *w) {
    struct span text = w->form.text;

    w->hold = text.size;
    for (size_t i = 0; i < text.size; i++) {
        int c = (unsigned char)text.at[i];
        bool fresh;

        if (c == ' ') continue;
        fresh = !i || !form_is_alnum((unsigned char)text.at[i - 1]);
        if (c == '@') ask(w, ENTITY_EMAIL, form_email, i);
        if (c == '-') ask(w, ENTITY_PRIVATE_KEY, form_private_key, i);
        if (!fresh) continue;
        if (form_is_digit(c) || c == '+' || c == '(')
            ask(w, ENTITY_PHONE, form_phone, i);
        if (form_is_digit(c)) ask(w, ENTITY_CARD, form_card, i);
        if (form_is_hex(c) || c == ':') ask(w, ENTITY_IP, form_ip, i);
        if (form_is_letter(c)) {
            ask(w, ENTITY_IBAN, form_iban, i);
            ask(w, ENTITY_API_KEY, form_api_key, i);
        }
        if (w->kinds & NATIONAL && form_is_alnum(c)) ask_national(w, i);
        /* Inside a word nothing begins. */
        while (form_is_alnum(c) && i + 1 < text.size &&
               form_is_alnum((unsigned char)text.at[i + 1]))
            i++;
    }
    if (w->kinds & BIT(ENTITY_EMAIL)) {
        size_t from = form_email_start(text, text.size);

        if (from >= w->decided && from < w->hold) w->hold = from;
    }
}

int entity_scan_tail(struct span text, size_t decided, uint64_t kinds,
                     struct entity_hit *hits, int max) {
    struct walk w = {.form = {.text = text}, .kinds = kinds};

    w.decided = decided;
    w.hits = hits;
    w.max = max;
    walk(&w);
    return w.count;
}

int entity_scan(struct span text, uint64_t kinds, struct entity_hit *hits,
                int max) {
    return entity_scan_tail(text, 0, kinds, hits, max);
}

size_t entity_hold_tail(struct span text, size_t decided, uint64_t kinds) {
    struct walk w = {.form = {.text = text}, .kinds = kinds};

    w.decided = decided;
    walk(&w);
    return w.hold;
}

size_t entity_hold(struct span text, uint64_t kinds) {
    return entity_hold_tail(text, 0, kinds);
}
