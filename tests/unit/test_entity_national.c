/* test_entity_national.c - numbers that states give: those with right check
 * digits are found, the same with any other last sign are not, and neither is
 * what merely looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard/entity.h"

struct sample {
    const char *kind, *before, *number;
};

/* Invented; their check digits come from other implementations. */
static const struct sample samples[] = {
    {"it_cf", "", "HGTDVC43A61Z432J"},
    {"it_cf", "CF: ", "FPTHRP11L46U552J"},
    {"it_cf", "", "cdsbmn89t08v159e"},
    {"fr_nir", "NIR ", "184068242612319"},
    {"fr_nir", "", "1 13 03 57 807 629 46"},
    {"fr_nir", "N\xC2\xB0 SS : ", "191052A15015704"},
    {"fr_nir", "", "2 27 05 2B 379 537 38"},
    {"de_steuer_id", "Steuer-ID: ", "59111067326"},
    {"de_steuer_id", "IdNr. ", "71 109 528 140"},
    {"de_id_card", "Ausweis ", "L01X00T471"},
    {"es_dni", "DNI ", "36764096E"},
    {"es_dni", "", "72.136.960-J"},
    {"es_dni", "", "Y8586221J"},
    {"es_dni", "mi NIE es ", "X-5030375-E"},
    {"pt_nif", "NIF: ", "537017976"},
    {"br_cpf", "", "245.747.483-38"},
    {"br_cpf", "CPF ", "52567845100"},
    {"br_cnpj", "", "92.891.213/8327-35"},
    {"br_cnpj", "cnpj ", "56911670394066"},
    {"uk_nhs", "NHS number: ", "935 472 3616"},
    {"uk_nhs", "NHS no ", "3031675274"},
    {"us_routing", "routing number ", "021000021"},
    {"in_aadhaar", "Aadhaar: ", "5858 4990 3241"},
    {"in_aadhaar", "\xE0\xA4\x86\xE0\xA4\xA7\xE0\xA4\xBE\xE0\xA4\xB0 ",
     "819561393809"},
    {"th_id", "", "4-7179-37132-40-6"},
    {"th_id", "\xE0\xB8\x9A\xE0\xB8\xB1\xE0\xB8\x95\xE0\xB8\xA3 ",
     "8882632511311"},
    {"nl_bsn", "BSN ", "233802010"},
    {"nl_bsn", "bsn: ", "5874.43.601"},
    {"pl_pesel", "PESEL: ", "59071531573"},
    {"be_rrn", "", "51.07.07-856.54"},
    {"se_personnummer", "personnummer ", "960101-3759"},
    {"se_personnummer", "personnummer ", "19890315-1713"},
    {"fi_hetu", "hetu ", "080549-8442"},
    {"fi_hetu", "hetu: ", "030371-799E"},
    {"ch_ahv", "", "756.8278.0317.73"},
    {"ch_ahv", "", "7566067523034"},
    {"vat_id", "P.IVA ", "IT39218390340"},
    {"vat_id", "USt-IdNr. ", "DE222068812"},
    {"vat_id", "TVA ", "FR28 162 675 763"},
    {"vat_id", "BTW ", "BE 0767.278.512"},
    {"vat_id", "NIP ", "PL789-095-83-72"},
    {"vat_id", "VAT no. ", "PT537017976"},
};

static int scan(const char *kind, const char *before, const char *number,
                struct entity_hit *hit) {
    char text[128];
    size_t a = strlen(before), b = strlen(number);

    assert_true(a + b + 2 < sizeof text);
    memcpy(text, before, a);
    memcpy(text + a, number, b);
    text[a + b] = '.';
    return entity_scan((struct span){text, a + b + 1}, entity_kinds(kind), hit,
                       1);
}

static void test_right(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct entity_hit hit;

        assert_true(entity_kinds(s->kind) != 0);
        if (!scan(s->kind, s->before, s->number, &hit))
            fail_msg("%s: %s not found", s->kind, s->number);
        assert_string_equal(entity_name(hit.kind), s->kind);
        assert_int_equal(hit.from, strlen(s->before));
        assert_int_equal(hit.end, strlen(s->before) + strlen(s->number));
    }
}

/* Every other last sign of the same sort. */
static void test_wrong(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        size_t last = strlen(s->number) - 1;
        bool digit = s->number[last] <= '9';
        char number[64];
        struct entity_hit hit;

        memcpy(number, s->number, last + 2);
        for (int c = digit ? '0' : 'A'; c <= (digit ? '9' : 'Z'); c++) {
            if (c == s->number[last] || c + 32 == s->number[last]) continue;
            number[last] = (char)c;
            if (scan(s->kind, s->before, number, &hit))
                fail_msg("%s: %s found", s->kind, number);
        }
    }
}

static void expect(const char *text, const char *kind) {
    struct entity_hit hits[8];
    int count = entity_scan(span_of(text), UINT64_MAX, hits, 8);

    if (!kind && count)
        fail_msg("'%s' has a %s", text, entity_name(hits[0].kind));
    if (kind && (count != 1 || strcmp(entity_name(hits[0].kind), kind) != 0))
        fail_msg("'%s': no %s", text, kind);
}

/* No check digits: what is in use, and what is not. */
static void test_in_use(void **state) {
    (void)state;
    expect("123-45-6789", "us_ssn");
    expect("SSN 123 45 6789", "us_ssn");
    expect("my social security number is 123456789", "us_ssn");
    expect("000-12-3456, 666-12-3456, 123-00-4567, 123-45-0000", NULL);
    expect("912-70-1234", "us_itin");
    expect("912-66-1234, 912-93-1234, 912-49-1234", NULL);
    expect("AB 12 34 56 C", "uk_nino");
    expect("National Insurance: AB123456C", "uk_nino");
    expect("NI DA123456C NI BG123456C NI AB123456E NI AO123456C", NULL);
    expect("PAN: ABCPE1234F", "in_pan");
    expect("PAN: ABCDE1234F", NULL);
    expect("passport no. C01234567", "passport");
    expect("Passaporto YA1234567", "passport");
    expect("Reisepass C01X00T47", "passport");
    expect("driving licence MORGA657054SM9IJ", "driving_licence");
    expect("la mia patente: U11234567A", "driving_licence");
    expect("Date of birth: 04/11/1979", "birth_date");
    expect("Geburtsdatum 31.12.1990", "birth_date");
    expect("DOB 1979-11-04", "birth_date");
}

static void test_innocents(void **state) {
    static const char *const texts[] = {
        "Order 36764096E and order 537017976 were sent on 2024-01-02.",
        "The bug was fixed in 4717937132406 and in 59071531573.",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "550e8400-e29b-41d4-a716-446655440000",
        "UUID 123e4567-e89b-12d3-a456-426614174000 of SSN service",
        "Population 8 188 888 888 in 2050; 12 345 678 903 people",
        "12.345.678,90 and 1.234.567 and 245.747.483,38",
        "invoice 20240115-0042, 240115-0042, 960101-3759",
        "version 756.8278.0317, ISBN 978-3-16-148410-0",
        "EAN 4006381333931, barcode 5901234123457",
        "ISO 8601:2004, RFC 2616, 10.1000/182, CVE-2024-12345",
        "AB123456C is our part number, X-1234567-B another",
        "SKU ABCPE1234F and L01X00T471 are in stock",
        "born 14 March 1879, in the town of Ulm, on 14/03/1879",
        "Date of birth: unknown. Date of issue 04/11/2019 at noon, 12/05/2023",
        "passport control is at gate 12, open 0800-2000, no queue",
        "Your passport must be valid for 6 months; the fee is 130 dollars.",
        "The driving licence test costs 62.00 and has 50 questions.",
        "VAT is 22% in Italy; VAT of 19.00 on 123456789.00",
        "DE222068813 is a wrong VAT number",
        "tel 5: routing protocols such as RFC 4271, port 179",
        "Aadhaar was started in 2009 and has 1.3 billion numbers.",
        "1732752000 1732752000123 2024112805300000",
        "0x1234567890, #123456789, $123456789, @123456789",
        "http://x.org/123-45-6789/a, a_123-45-6789, 1.123-45-6789",
        "7-10-3, 123-45-67890, 123-45-6789-1",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"
        "M9QDwADhgGA",
        "3.14159265358979323846 and 2.718281828459045",
        "10 20 30 40 50 60 70 80 90 100, 1 2 3 4 5 6 7 8 9",
        "Der Steuersatz ist 19 %, die Nummer 12345678911 ist frei."};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect(texts[i], NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_in_use), cmocka_unit_test(test_innocents)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
