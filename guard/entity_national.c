/* Numbers that a state, an insurer or a tax office gives to a person: a layout,
 * check digits, and, where those let too many other numbers pass, the name of
 * the thing in front. */
#include <string.h>

#include "guard/entity_check.h"
#include "guard/entity_forms.h"

enum { ID_MAX = 18, NEAR_BYTES = 14 };

/* What is enough, besides layout and check digits. */
enum proof {
    FORM,    /* nothing: few other things look so */
    GROUPED, /* its separators, or its name before */
    DASHED,  /* the same, but blanks are no separators */
    NAMED,   /* its name before */
    NEAR     /* its name right before */
};

/* Layouts: 9 a digit, A a letter, G a digit or consonant, O a digit or one of
 * LMNPQRSTUV, X any of letters and digits, ! the Finnish century, ~ a separator
 * that may lack, the rest itself. */
struct national {
    enum entity_kind kind;
    enum proof proof;
    const char *layout;
    bool (*check)(const char *id);
    const char *names;
};

#define DNI_NAMES                                                              \
    "dni|nif|nie|documento|identidad|identificaci\xC3\xB3n|identificacion"
#define VAT_NAMES                                                              \
    "vat|iva|p.iva|tva|ust|ust-id|ustid|ust-idnr|ustidnr|umsatzsteuer|btw"     \
    "|moms|nip|nif|nipc|contribuinte"
#define PASSPORT_NAMES                                                         \
    "passport no|passport number|passport nr|passport id|passport"             \
    "|passaporto|passeport|reisepass|pasaporte|passaporte|paszport"            \
    "|paspoort|passnummer"
#define LICENCE_NAMES                                                          \
    "driving licence|driving license|driver's license|driver's licence"        \
    "|drivers license|driver license|licence number|license number|patente"    \
    "|permis de conduire|f\xC3\xBChrerschein|permiso de conducir"              \
    "|carnet de conducir|carta de condu\xC3\xA7\xC3\xA3o|cnh"
#define BIRTH_NAMES                                                            \
    "date of birth|birth date|birthdate|birthday|dob|d.o.b"                    \
    "|data di nascita|date de naissance|geburtsdatum|fecha de nacimiento"      \
    "|data de nascimento|geboortedatum"

static const struct national forms[] = {
    {ENTITY_IT_CF, FORM, "AAAAAA99AOOAOOOA", check_it_cf, ""},
    {ENTITY_FR_NIR, GROUPED, "9~99~99~9X~999~999~99", check_fr_nir,
     "nir|insee|s\xC3\xA9"
     "curit\xC3\xA9 sociale|securite sociale|num\xC3\xA9ro de s\xC3\xA9"
     "cu|n\xC2\xB0 ss|num\xC3\xA9ro ss"},
    {ENTITY_DE_STEUER_ID, NAMED, "99~999~999~999", check_de_steuer_id,
     "steuer-id|steuerid|steuer-idnr|steueridentifikationsnummer|idnr"
     "|steuernummer|identifikationsnummer|steuerliche|tax id"},
    {ENTITY_DE_ID_CARD, NAMED, "AGGGGGGGG~9", check_de_id_card,
     "personalausweis|personalausweisnummer|ausweis|ausweisnummer|id card"
     "|perso"},
    {ENTITY_ES_DNI, DASHED, "99~999~999~A", check_es_dni, DNI_NAMES},
    {ENTITY_ES_DNI, FORM, "A~9999999~A", check_es_nie, DNI_NAMES},
    {ENTITY_PT_NIF, NAMED, "999~999~999", check_pt_nif,
     "nif|contribuinte|n.i.f|fiscal"},
    {ENTITY_BR_CPF, DASHED, "999~999~999~99", check_br_cpf, "cpf"},
    {ENTITY_BR_CNPJ, DASHED, "99~999~999~9999~99", check_br_cnpj, "cnpj"},
    {ENTITY_UK_NHS, NAMED, "999~999~9999", check_uk_nhs, "nhs"},
    {ENTITY_UK_NINO, GROUPED, "AA~99~99~99~A", check_uk_nino,
     "nino|ni|national insurance|ni number|nin"},
    {ENTITY_US_SSN, DASHED, "999~99~9999", check_us_ssn,
     "ssn|social security|soc sec|social"},
    {ENTITY_US_ITIN, DASHED, "999~99~9999", check_us_itin,
     "itin|taxpayer|tax id|tin"},
    {ENTITY_US_ROUTING, NAMED, "999999999", check_us_routing,
     "routing|aba|rtn|transit"},
    {ENTITY_IN_AADHAAR, NAMED, "9999~9999~9999", check_in_aadhaar,
     "aadhaar|aadhar|adhaar|uidai|uid|\xE0\xA4\x86\xE0\xA4\xA7\xE0\xA4\xBE\xE0"
     "\xA4\xB0"},
    {ENTITY_IN_PAN, NAMED, "AAAAA9999A", check_in_pan,
     "pan|permanent account|income tax|\xE0\xA4\xAA\xE0\xA5\x88\xE0\xA4\xA8"},
    {ENTITY_TH_ID, DASHED, "9~9999~99999~99~9", check_th_id,
     "thai id|national id|id card|citizen id"
     "|\xE0\xB8\x9A\xE0\xB8\xB1\xE0\xB8\x95\xE0\xB8\xA3"
     "|\xE0\xB8\x9B\xE0\xB8\xA3\xE0\xB8\xB0\xE0\xB8\x8A\xE0\xB8\xB2"},
    {ENTITY_NL_BSN, NAMED, "999~999~999", check_nl_bsn,
     "bsn|burgerservicenummer|burger service nummer|sofinummer"},
    {ENTITY_NL_BSN, NAMED, "9999~99~999", check_nl_bsn,
     "bsn|burgerservicenummer|burger service nummer|sofinummer"},
    {ENTITY_PL_PESEL, NAMED, "99999999999", check_pl_pesel,
     "pesel|numer pesel"},
    {ENTITY_BE_RRN, DASHED, "99~99~99~999~99", check_be_rrn,
     "rijksregister|rijksregisternummer|registre national|niss|insz"
     "|num\xC3\xA9ro national|national number"},
    {ENTITY_SE_PERSONNUMMER, NAMED, "999999~9999", check_se_pnr,
     "personnummer|personnr|pnr|samordningsnummer"},
    {ENTITY_SE_PERSONNUMMER, NAMED, "99999999~9999", check_se_pnr_long,
     "personnummer|personnr|pnr|samordningsnummer"},
    {ENTITY_FI_HETU, NAMED, "999999!999X", check_fi_hetu,
     "hetu|henkil\xC3\xB6tunnus|henkil\xC3\xB6tunnukseni|sotu"},
    {ENTITY_CH_AHV, FORM, "999~9999~9999~99", check_ch_ahv, ""},
    {ENTITY_VAT_ID, NAMED, "AA~99999999999", check_vat_it, VAT_NAMES},
    {ENTITY_VAT_ID, NAMED, "AA~999~999~999", check_vat_de, VAT_NAMES},
    {ENTITY_VAT_ID, NAMED, "AA~99~999~999~999", check_vat_fr, VAT_NAMES},
    {ENTITY_VAT_ID, NAMED, "AA~9999~999~999", check_vat_be, VAT_NAMES},
    {ENTITY_VAT_ID, NAMED, "AA~999~999~99~99", check_vat_pl, VAT_NAMES},
    {ENTITY_VAT_ID, NAMED, "AA~999~999~999", check_vat_pt, VAT_NAMES},
    {ENTITY_PASSPORT, NEAR, "999999999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "A~9999999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "A~99999999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "AA~999999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "AA~9999999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "AAA~999999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "99AA99999", NULL, PASSPORT_NAMES},
    {ENTITY_PASSPORT, NEAR, "AGGGGGGGG", check_has_digits, PASSPORT_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "A~9999999", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "A~999~9999~9999", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "A~99999999A", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "AA~9999999A", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "A99GGGGGG99", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "AAAAA~999999~AA9AA", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "99AA99999", NULL, LICENCE_NAMES},
    {ENTITY_DRIVING_LICENCE, NEAR, "99999999999", NULL, LICENCE_NAMES},
    {ENTITY_BIRTH_DATE, NEAR, "99/99/9999", check_day_first, BIRTH_NAMES},
    {ENTITY_BIRTH_DATE, NEAR, "99.99.9999", check_day_first, BIRTH_NAMES},
    {ENTITY_BIRTH_DATE, NEAR, "99-99-9999", check_day_first, BIRTH_NAMES},
    {ENTITY_BIRTH_DATE, NEAR, "9999-99-99", check_year_first, BIRTH_NAMES}};

struct reading_id {
    char id[ID_MAX + 1];
    int size, separators, blanks, lacking;
};

static bool fits(char want, int c) {
    switch (want) {
    case '9':
        return form_is_digit(c);
    case 'A':
        return form_is_letter(c);
    case 'O':
        return form_is_digit(c) || (c > 0 && strchr("lmnpqrstuv", c));
    case 'G':
        return form_is_digit(c) || (c > 0 && strchr("cfghjklmnprtvwxyz", c));
    case 'X':
        return form_is_alnum(c);
    default:
        return false;
    }
}

static bool is_separator(int c) {
    return c == ' ' || c == '-' || c == '.' || c == '/';
}

/* One place of the layout. Where the text goes on, 0 when it does not fit. */
static size_t read_place(struct form *f, size_t at, char want,
                         struct reading_id *r) {
    int c = form_byte(f, at);

    if (want == '~') {
        if (is_separator(c)) {
            r->separators++;
            r->blanks += c == ' ';
            return at + 1;
        }
        r->lacking++;
        return at;
    }
    c = form_lower(c);
    if (want == '!') return c > 0 && strchr("-+abcdefuvwxy", c) ? at + 1 : 0;
    if (want == '-' || want == '.' || want == '/')
        return c == want ? at + 1 : 0;
    if (!fits(want, c)) return 0;
    r->id[r->size++] = (char)c;
    return at + 1;
}

static bool is_joint(int c) {
    return c == '-' || c == '.' || c == '/' || c == ',' || c == ':';
}

/* Does something longer begin before: a decimal, a UUID, a path. */
static bool is_inside(const struct form *f, size_t at) {
    int before = form_before(f, at);

    if (form_is_alnum(before) || (before > 0 && strchr("_$%@+\\", before)))
        return true;
    return is_joint(before) && before != ':' && at > 1 &&
           form_is_alnum((unsigned char)f->text.at[at - 2]);
}

/* Or go on behind. */
static bool goes_on(struct form *f, size_t end, const struct reading_id *r) {
    int c = form_byte(f, end);

    if (form_is_alnum(c) || (c > 0 && strchr("_%@\\", c))) return true;
    if (is_joint(c)) return form_is_alnum(form_byte(f, end + 1));
    return c == ' ' && r->blanks && form_is_digit(form_byte(f, end + 1));
}

static bool is_proven(const struct form *f, size_t at, const struct national *n,
                      const struct reading_id *r) {
    bool grouped = r->separators && !r->lacking;

    if (n->check && !n->check(r->id)) return false;
    if (n->proof == FORM) return true;
    if (n->proof == GROUPED && grouped) return true;
    if (n->proof == DASHED && grouped && !r->blanks) return true;
    return form_is_named(f->text, at,
                         n->proof == NEAR ? NEAR_BYTES : ENTITY_CONTEXT_MAX,
                         n->names);
}

static size_t read_form(struct form *f, size_t at, const struct national *n) {
    struct reading_id r = {.size = 0};
    size_t end = at;

    for (const char *want = n->layout; *want; want++) {
        end = read_place(f, end, *want, &r);
        if (!end) return 0;
    }
    if (goes_on(f, end, &r)) return 0;
    return is_proven(f, at, n, &r) ? end : 0;
}

/* Nothing of the forms above begins at `at`, as a few bytes tell that are all
 * there: so nobody asks what follows the text. A layout that begins with a
 * letter has a digit behind its first letters, or behind one separator; one
 * that begins with a digit has at most two other bytes in a row, among its
 * first NEAR_START. */
static bool is_none(const struct form *f, size_t at, bool number) {
    enum { NEAR_START = 8, LETTERS = 9, LOOKS_AT = 16 };
    const char *s = f->text.at + at;
    int others = 0, i = 0;

    if (at + LOOKS_AT > f->text.size) return false;
    if (number) {
        for (i = 0; i < NEAR_START && others < 3; i++)
            others = form_is_digit((unsigned char)s[i]) ? 0 : others + 1;
        return others == 3;
    }
    while (i <= LETTERS && form_is_letter((unsigned char)s[i])) i++;
    if (i > LETTERS) return true;
    return !form_is_digit(
        (unsigned char)s[i + is_separator((unsigned char)s[i])]);
}

size_t form_national(struct form *f, size_t at, uint64_t kinds,
                     enum entity_kind *kind) {
    bool number = form_is_digit(form_byte(f, at));
    size_t longest = 0;

    if (is_none(f, at, number) || is_inside(f, at)) return 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct national *n = &forms[i];
        size_t end;

        if (!(kinds >> n->kind & 1) || (n->layout[0] == '9') != number)
            continue;
        end = read_form(f, at, n);
        if (end <= longest) continue;
        longest = end;
        *kind = n->kind;
    }
    return longest;
}
