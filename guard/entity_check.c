#include "guard/entity_check.h"

#include <string.h>

static int digit(char c) {
    return c - '0';
}

static int value(const char *id, int from, int count) {
    int sum = 0;

    for (int i = 0; i < count; i++) sum = sum * 10 + digit(id[from + i]);
    return sum;
}

static int number_mod(const char *id, int count, int modulus) {
    int rest = 0;

    for (int i = 0; i < count; i++) rest = (rest * 10 + digit(id[i])) % modulus;
    return rest;
}

static int weighted(const char *id, const int *weights, int count) {
    int sum = 0;

    for (int i = 0; i < count; i++) sum += weights[i] * digit(id[i]);
    return sum;
}

/* Weights that fall by one to `last`, as many schemes have. */
static int falling(const char *id, int count, int last) {
    int sum = 0;

    for (int i = 0; i < count; i++)
        sum += (count - 1 - i + last) * digit(id[i]);
    return sum;
}

/* 11 less the rest, where 10 and 11 are written 0. */
static bool is_mod11(int sum, char check) {
    int rest = 11 - sum % 11;

    return digit(check) == (rest > 9 ? 0 : rest);
}

static bool luhn(const char *id, int count) {
    int sum = 0;

    for (int i = 0; i < count; i++) {
        int d = digit(id[count - 1 - i]);

        if (i % 2) d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

/* ISO 7064, mod 11,10. */
static bool mod11_10(const char *id, int count) {
    int product = 10;

    for (int i = 0; i < count - 1; i++) {
        int sum = (digit(id[i]) + product) % 10;

        product = (sum ? sum : 10) * 2 % 11;
    }
    return (11 - product) % 10 == digit(id[count - 1]);
}

static bool all_same(const char *id, int count) {
    for (int i = 1; i < count; i++)
        if (id[i] != id[0]) return false;
    return true;
}

static bool is_day(int day, int month) {
    return day >= 1 && day <= 31 && month >= 1 && month <= 12;
}

bool check_it_cf(const char *id) {
    static const int odd[] = {1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                              20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    static const char months[] = "abcdehlmprst", clash[] = "lmnpqrstuv";
    int sum = 0, day[2];

    if (!strchr(months, id[8])) return false;
    /* Where two people would share a code, letters stand for digits. */
    for (int i = 0; i < 2; i++) {
        const char *letter = strchr(clash, id[9 + i]);

        day[i] = letter ? (int)(letter - clash) : digit(id[9 + i]);
    }
    day[0] = (day[0] * 10 + day[1]) % 40;
    if (day[0] < 1 || day[0] > 31) return false;
    for (int i = 0; i < 15; i++) {
        int c = id[i] >= 'a' ? id[i] - 'a' : digit(id[i]);

        sum += i % 2 ? c : odd[c];
    }
    return id[15] == 'a' + sum % 26;
}

bool check_fr_nir(const char *id) {
    char number[13];
    int month = value(id, 3, 2), rest;

    if (!strchr("123478", id[0])) return false;
    if (month < 1 || (month > 12 && month < 20) || (month > 42 && month < 50))
        return false;
    memcpy(number, id, sizeof number);
    if (id[6] > '9') {
        if (id[5] != '2' || (id[6] != 'a' && id[6] != 'b')) return false;
        number[5] = '1';
        number[6] = id[6] == 'a' ? '9' : '8';
    }
    rest = number_mod(number, 13, 97);
    return 97 - rest == value(id, 13, 2);
}

bool check_de_steuer_id(const char *id) {
    int seen[10] = {0}, twice = 0, most = 0;

    for (int i = 0; i < 10; i++) seen[digit(id[i])]++;
    for (int i = 0; i < 10; i++) {
        twice += seen[i] > 1;
        if (seen[i] > most) most = seen[i];
    }
    /* One digit comes twice or thrice, all others once at most. */
    return id[0] != '0' && twice == 1 && most <= 3 && mod11_10(id, 11);
}

bool check_de_id_card(const char *id) {
    static const int weights[] = {7, 3, 1};
    int sum = 0;

    for (int i = 0; i < 9; i++) {
        int c = id[i] >= 'a' ? id[i] - 'a' + 10 : digit(id[i]);

        sum += weights[i % 3] * c;
    }
    return strchr("cfghjklmnprtvwxyz", id[0]) && sum % 10 == digit(id[9]);
}

static const char dni_letters[] = "trwagmyfpdxbnjzsqvhlcke";

bool check_es_dni(const char *id) {
    return dni_letters[value(id, 0, 8) % 23] == id[8];
}

bool check_es_nie(const char *id) {
    int first = id[0] - 'x';

    if (first < 0 || first > 2) return false;
    return dni_letters[(first * 10000000 + value(id, 1, 7)) % 23] == id[8];
}

bool check_pt_nif(const char *id) {
    return strchr("1235689", id[0]) && is_mod11(falling(id, 8, 2), id[8]);
}

bool check_br_cpf(const char *id) {
    return !all_same(id, 11) && is_mod11(falling(id, 9, 2), id[9]) &&
           is_mod11(falling(id, 10, 2), id[10]);
}

bool check_br_cnpj(const char *id) {
    static const int weights[] = {6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2};

    return !all_same(id, 14) &&
           is_mod11(weighted(id, weights + 1, 12), id[12]) &&
           is_mod11(weighted(id, weights, 13), id[13]);
}

bool check_uk_nhs(const char *id) {
    return !all_same(id, 10) && falling(id, 10, 1) % 11 == 0;
}

bool check_uk_nino(const char *id) {
    static const char unused[][3] = {"bg", "gb", "kn", "nk", "nt", "tn", "zz"};

    if (strchr("dfiquv", id[0]) || strchr("dfiquvo", id[1]) ||
        !strchr("abcd", id[8]))
        return false;
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        if (memcmp(id, unused[i], 2) == 0) return false;
    return true;
}

bool check_us_ssn(const char *id) {
    int area = value(id, 0, 3);

    return area && area != 666 && area < 900 && value(id, 3, 2) &&
           value(id, 5, 4);
}

bool check_us_itin(const char *id) {
    int group = value(id, 3, 2);

    return id[0] == '9' && group >= 50 && group != 66 && group != 67 &&
           group != 68 && group != 69 && group != 89 && group != 93;
}

bool check_us_routing(const char *id) {
    static const int weights[] = {3, 7, 1, 3, 7, 1, 3, 7, 1};
    int area = value(id, 0, 2);

    if (!(area <= 12 || (area >= 21 && area <= 32) ||
          (area >= 61 && area <= 72) || area == 80))
        return false;
    return !all_same(id, 9) && weighted(id, weights, 9) % 10 == 0;
}

/* Verhoeff: the group of a pentagon's turns and flips. */
static int dihedral(int a, int b) {
    if (a < 5) return b < 5 ? (a + b) % 5 : (a + b - 5) % 5 + 5;
    return b < 5 ? (a - 5 - b + 5) % 5 + 5 : (a - b + 5) % 5;
}

bool check_in_aadhaar(const char *id) {
    static const int turn[] = {1, 5, 7, 6, 2, 8, 3, 0, 9, 4};
    int sum = 0;

    if (id[0] < '2' || all_same(id, 12)) return false;
    for (int i = 0; i < 12; i++) {
        int d = digit(id[11 - i]);

        for (int k = 0; k < i % 8; k++) d = turn[d];
        sum = dihedral(sum, d);
    }
    return sum == 0;
}

bool check_in_pan(const char *id) {
    return strchr("abcfghjlpt", id[3]) && value(id, 5, 4);
}

bool check_th_id(const char *id) {
    int sum = falling(id, 12, 2);

    return id[0] != '0' && id[0] != '9' &&
           (11 - sum % 11) % 10 == digit(id[12]);
}

bool check_nl_bsn(const char *id) {
    return !all_same(id, 9) &&
           (falling(id, 8, 2) - digit(id[8]) + 11) % 11 == 0;
}

bool check_pl_pesel(const char *id) {
    static const int weights[] = {1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1};

    return is_day(value(id, 4, 2), value(id, 2, 2) % 20) &&
           weighted(id, weights, 11) % 10 == 0;
}

bool check_be_rrn(const char *id) {
    int check = value(id, 9, 2), old = number_mod(id, 9, 97);
    /* Born since 2000: a 2 is thought in front. 2 * 10^9 mod 97 is 76. */
    int new = (old + 76) % 97;

    return value(id, 4, 2) <= 31 && value(id, 2, 2) % 20 <= 12 &&
           (97 - old == check || 97 - new == check);
}

bool check_se_pnr(const char *id) {
    return is_day(value(id, 4, 2) % 60, value(id, 2, 2)) && luhn(id, 10);
}

bool check_se_pnr_long(const char *id) {
    int century = value(id, 0, 2);

    return century >= 18 && century <= 20 && check_se_pnr(id + 2);
}

bool check_fi_hetu(const char *id) {
    char number[9];

    memcpy(number, id, 9);
    return is_day(value(id, 0, 2), value(id, 2, 2)) && value(id, 6, 3) > 1 &&
           "0123456789abcdefhjklmnprstuvwxy"[number_mod(number, 9, 31)] ==
               id[9];
}

bool check_ch_ahv(const char *id) {
    static const int weights[] = {1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1};

    return memcmp(id, "756", 3) == 0 && weighted(id, weights, 13) % 10 == 0;
}

static bool is_country(const char *id, const char *country) {
    return memcmp(id, country, 2) == 0;
}

bool check_vat_it(const char *id) {
    return is_country(id, "it") && !all_same(id + 2, 11) && luhn(id + 2, 11);
}

bool check_vat_de(const char *id) {
    return is_country(id, "de") && id[2] != '0' && mod11_10(id + 2, 9);
}

bool check_vat_fr(const char *id) {
    return is_country(id, "fr") && luhn(id + 4, 9) &&
           (12 + 3 * number_mod(id + 4, 9, 97)) % 97 == value(id, 2, 2);
}

bool check_vat_be(const char *id) {
    return is_country(id, "be") && id[2] < '2' &&
           97 - number_mod(id + 2, 8, 97) == value(id, 10, 2);
}

bool check_vat_pl(const char *id) {
    static const int weights[] = {6, 5, 7, 2, 3, 4, 5, 6, 7};

    return is_country(id, "pl") &&
           weighted(id + 2, weights, 9) % 11 == digit(id[11]);
}

bool check_vat_pt(const char *id) {
    return is_country(id, "pt") && check_pt_nif(id + 2);
}

static bool is_lifetime(int year) {
    return year >= 1900 && year <= 2099;
}

bool check_day_first(const char *id) {
    int a = value(id, 0, 2), b = value(id, 2, 2);

    return (is_day(a, b) || is_day(b, a)) && is_lifetime(value(id, 4, 4));
}

bool check_year_first(const char *id) {
    return is_day(value(id, 6, 2), value(id, 4, 2)) &&
           is_lifetime(value(id, 0, 4));
}

bool check_has_digits(const char *id) {
    int digits = 0;

    for (int i = 0; i < 9; i++) digits += id[i] <= '9';
    return digits >= 4;
}
