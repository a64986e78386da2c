/* Numbers that name a person's line, card or account. */
#include <string.h>

#include "guard/entity_forms.h"

enum {
    PHONE_DIGITS_MAX = 17, /* 15, and the 00 that may stand for the plus */
    PHONE_GROUPS_MAX = 8,
    CARD_DIGITS_MIN = 13,
    CARD_DIGITS_MAX = 19,
    IBAN_MAX = 34
};

/* Digits in groups, as people write numbers. */
struct number {
    char digits[PHONE_DIGITS_MAX + 3];
    int count;
    int groups[CARD_DIGITS_MAX];
    int group_count;
    bool dots_only; /* and at least one */
    bool other_mark;
    size_t end;
};

/* One group, and where the next one may begin. */
static size_t read_group(struct form *f, size_t at, struct number *n,
                         int most) {
    int size = 0;

    while (n->count <= most && form_is_digit(form_byte(f, at))) {
        n->digits[n->count++] = (char)form_byte(f, at);
        size++;
        at++;
    }
    if (size) n->groups[n->group_count++] = size;
    if (size) n->end = at;
    return at;
}

/* Between two groups of a phone number: one mark, or an area code's brackets
 * with a blank. Where the next group begins; 0 when the number ends. */
static size_t read_mark(struct form *f, size_t at, struct number *n) {
    size_t start = at;
    int c = form_byte(f, at);

    if (c == ')') c = form_byte(f, ++at);
    if (c == ' ' || c == '-' || c == '/' || c == '.') {
        if (c == '.')
            n->dots_only = true;
        else
            n->other_mark = true;
        c = form_byte(f, ++at);
    }
    if (c == '(') c = form_byte(f, ++at);
    return at > start && form_is_digit(c) ? at : 0;
}

static void read_phone(struct form *f, size_t at, struct number *n) {
    do {
        at = read_group(f, at, n, PHONE_DIGITS_MAX);
        if (n->count > PHONE_DIGITS_MAX) return;
        at = read_mark(f, at, n);
    } while (at && n->group_count < PHONE_GROUPS_MAX);
    if (at) n->count = PHONE_DIGITS_MAX + 1; /* a list of numbers */
}

static const char phone_names[] =
    "phone|telephone|tel|call|mobile|cell|fax|whatsapp|sms|cellphone|dial|"
    "phones"
    "|telefon|telefono|telefone|tel\xC3\xA9"
    "fono|t\xC3\xA9l\xC3\xA9phone"
    "|t\xC3\xA9l|cellulare|chiama|chiamami|chiamare|anrufen|handy|m\xC3\xB3vil"
    "|movil|celular|ligue|appelez|telefoon";

/* Is there a word in front that says what the number is. */
static bool phone_is_named(struct span text, size_t at) {
    return form_is_named(text, at, ENTITY_CONTEXT_MAX, phone_names);
}

static bool has_groups(const struct number *n, int a, int b, int c, int d) {
    const int want[] = {a, b, c, d};
    int count = 0;

    while (count < 4 && want[count]) count++;
    if (n->group_count != count) return false;
    for (int i = 0; i < count; i++)
        if (n->groups[i] != want[i]) return false;
    return true;
}

/* Dates, addresses of machines and amounts have groups too. */
static bool is_no_phone(const struct number *n) {
    if (has_groups(n, 2, 2, 4, 0) || has_groups(n, 4, 2, 2, 0) ||
        has_groups(n, 1, 2, 4, 0) || has_groups(n, 2, 1, 4, 0) ||
        has_groups(n, 3, 2, 4, 0) || has_groups(n, 4, 4, 0, 0))
        return n->digits[0] != '0' || n->group_count == 3;
    if (!n->dots_only || n->other_mark) return false;
    if (n->group_count == 4) {
        int short_groups = 0;

        for (int i = 0; i < 4; i++) short_groups += n->groups[i] <= 3;
        return short_groups == 4;
    }
    return n->group_count == 2;
}

/* North America: three digits, three, four; area and exchange begin with 2 to
 * 9. */
static bool is_american(const struct number *n) {
    bool one = has_groups(n, 1, 3, 3, 4) && n->digits[0] == '1';
    const char *area = n->digits + one;

    return (one || has_groups(n, 3, 3, 4, 0)) && area[0] >= '2' &&
           area[3] >= '2';
}

static bool is_phone(const struct form *f, size_t at, const struct number *n,
                     bool plus, bool bracket) {
    if (plus) return n->digits[0] != '0' && n->count >= 8 && n->count <= 15;
    if (n->count < 7 || n->count > 15 || is_no_phone(n)) return false;
    if (n->digits[0] == '0' && n->digits[1] == '0')
        return n->digits[2] != '0' && n->count >= 10 &&
               (n->group_count > 1 || phone_is_named(f->text, at));
    if (n->count > 12) return false;
    if (is_american(n)) return true;
    if (n->count >= 9 && n->group_count > 1 && (n->digits[0] == '0' || bracket))
        return true;
    return phone_is_named(f->text, at);
}

size_t form_phone(struct form *f, size_t at) {
    struct number n = {.count = 0};
    int before = form_before(f, at), next;
    bool plus = false, bracket = false;
    size_t first = at;

    if (form_byte(f, first) == '+') {
        plus = true;
        first++;
    } else if (before == '+' || before == '.' || before == '/' ||
               before == '-' || before == '_' || before == '=' ||
               before == '$' || before == '#' || before == ',') {
        return 0;
    }
    /* Inside a number that began further left. */
    if (at >= 2 && (before == ' ' || before == '(') &&
        form_is_digit((unsigned char)f->text.at[at - 2]) && !plus)
        return 0;
    if (form_byte(f, first) == '(') {
        bracket = true;
        first++;
    }
    if (!form_is_digit(form_byte(f, first))) return 0;
    read_phone(f, first, &n);
    next = form_byte(f, n.end);
    if (form_is_alnum(next) || next == '_' || next == '%') return 0;
    if (!plus && next == ',' && form_is_digit(form_byte(f, n.end + 1)))
        return 0;
    return is_phone(f, at, &n, plus, bracket) ? n.end : 0;
}

static bool luhn(const char *digits, int count) {
    int sum = 0;

    for (int i = 0; i < count; i++) {
        int d = digits[count - 1 - i] - '0';

        if (i % 2) d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

/* The first digits of the large issuers, and the lengths they use (ISO/IEC
 * 7812 ranges). */
static bool is_issued(const char *digits, int count) {
    int four = 0;

    for (int i = 0; i < 4; i++) four = four * 10 + (digits[i] - '0');
    if (four / 1000 == 4) return count == 13 || count == 16 || count == 19;
    if ((four >= 5100 && four <= 5599) || (four >= 2221 && four <= 2720))
        return count == 16;
    if (four / 100 == 34 || four / 100 == 37) return count == 15;
    if (four == 6011 || four / 100 == 65 || (four >= 6440 && four <= 6499) ||
        (four >= 3528 && four <= 3589) || four / 100 == 62)
        return count >= 16;
    if ((four >= 3000 && four <= 3059) || four / 100 == 36 || four / 100 == 38)
        return count == 14;
    return (four == 5018 || four == 5020 || four == 5038 || four == 5893 ||
            four == 6304 || (four >= 6759 && four <= 6763)) &&
           count >= CARD_DIGITS_MIN;
}

/* As cards are printed: equal groups with a rest, or 4-6-5 and 4-6-4; so that
 * a row of figures is not taken for one. */
static bool is_printed(const struct number *n) {
    if (has_groups(n, 4, 6, 5, 0) || has_groups(n, 4, 6, 4, 0)) return true;
    for (int i = 1; i + 1 < n->group_count; i++)
        if (n->groups[i] != n->groups[0]) return false;
    return n->group_count < 2 || n->groups[n->group_count - 1] <= n->groups[0];
}

size_t form_card(struct form *f, size_t at) {
    struct number n = {.count = 0};
    int before = form_before(f, at);
    size_t found = 0, next = at;

    if (before == '_' || (before == '.' && at > 1 &&
                          form_is_digit((unsigned char)f->text.at[at - 2])))
        return 0;
    while (n.count < CARD_DIGITS_MAX) {
        int c;

        if (next == read_group(f, next, &n, CARD_DIGITS_MAX)) break;
        c = form_byte(f, n.end);
        if (n.count > CARD_DIGITS_MAX || form_is_alnum(c)) break;
        if (n.count >= CARD_DIGITS_MIN && is_printed(&n) &&
            is_issued(n.digits, n.count) && luhn(n.digits, n.count))
            found = n.end;
        if (c != ' ' && c != '-') break;
        next = n.end + 1;
    }
    return found;
}

/* The IBAN registry: country and length. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27"
    "DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28"
    "IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22"
    "MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24"
    "SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

static int iban_length(int first, int second) {
    for (const char *at = iban_lengths; *at; at += 4)
        if (form_lower(at[0]) == first && form_lower(at[1]) == second)
            return (at[2] - '0') * 10 + (at[3] - '0');
    return 0;
}

static bool mod97(const char *text, int size) {
    unsigned rest = 0;

    for (int i = 0; i < size; i++) {
        int c = text[(i + 4) % size];

        rest = form_is_digit(c) ? rest * 10 + (unsigned)(c - '0')
                                : rest * 100 + (unsigned)(c - 'a' + 10);
        rest %= 97;
    }
    return rest == 1;
}

size_t form_iban(struct form *f, size_t at) {
    char text[IBAN_MAX + 1];
    int size = 2, want;

    /* A word, as most are: without asking for more. */
    if (at + 2 < f->text.size &&
        !form_is_digit((unsigned char)f->text.at[at + 2]))
        return 0;
    text[0] = (char)form_lower(form_byte(f, at));
    if (!form_is_letter(form_byte(f, at + 1))) return 0;
    text[1] = (char)form_lower(form_byte(f, at + 1));
    want = iban_length(text[0], text[1]);
    if (!want) return 0;
    at += 2;
    while (size < want) {
        int c = form_byte(f, at);

        if (size > 2 && (c == ' ' || c == '-')) c = form_byte(f, ++at);
        if (!form_is_alnum(c) || (size < 4 && !form_is_digit(c))) return 0;
        text[size++] = (char)form_lower(c);
        at++;
    }
    if (form_is_alnum(form_byte(f, at))) return 0;
    return mod97(text, size) ? at : 0;
}
