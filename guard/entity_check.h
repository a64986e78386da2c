/* entity_check.h - the check digits of national numbers, as their issuers
 * publish them. Each reads `id`, letters in lower case and no separators, of
 * the length that its layout in entity_national.c has, and no byte more. */
#ifndef CORRAL_GUARD_ENTITY_CHECK_H
#define CORRAL_GUARD_ENTITY_CHECK_H

#include <stdbool.h>

bool check_it_cf(const char *id);  /* 16: weights by place, mod 26 */
bool check_fr_nir(const char *id); /* 15: 97 - n mod 97, Corsica's 2A/2B */
bool check_de_steuer_id(const char *id); /* 11: ISO 7064 mod 11,10 */
bool check_de_id_card(const char *id);   /* 10: weights 7, 3, 1 */
bool check_es_dni(const char *id);       /* 9: mod 23 */
bool check_es_nie(const char *id);       /* 9: the same, X Y Z for 0 1 2 */
bool check_pt_nif(const char *id);       /* 9: mod 11 */
bool check_br_cpf(const char *id);       /* 11: twice mod 11 */
bool check_br_cnpj(const char *id);      /* 14: twice mod 11 */
bool check_uk_nhs(const char *id);       /* 10: mod 11 */
bool check_uk_nino(const char *id);      /* 9: the prefixes in use */
bool check_us_ssn(const char *id);       /* 9: the areas in use */
bool check_us_itin(const char *id);      /* 9: the groups in use */
bool check_us_routing(const char *id);   /* 9: weights 3, 7, 1 */
bool check_in_aadhaar(const char *id);   /* 12: Verhoeff */
bool check_in_pan(const char *id);       /* 10: the kinds of holder */
bool check_th_id(const char *id);        /* 13: mod 11 */
bool check_nl_bsn(const char *id);       /* 9: the eleven test */
bool check_pl_pesel(const char *id);     /* 11: weights 1 3 7 9, and a date */
bool check_be_rrn(const char *id);       /* 11: 97 - n mod 97 */
bool check_se_pnr(const char *id);       /* 10: Luhn, and a date */
bool check_se_pnr_long(const char *id);  /* 12: the same after the century */
bool check_fi_hetu(const char *id);      /* 10: mod 31, and a date */
bool check_ch_ahv(const char *id);       /* 13: as EAN-13, from 756 */
bool check_vat_it(const char *id);       /* it + 11: Luhn */
bool check_vat_de(const char *id);       /* de + 9: ISO 7064 mod 11,10 */
bool check_vat_fr(const char *id);       /* fr + 11: a key of the SIREN */
bool check_vat_be(const char *id);       /* be + 10: 97 - n mod 97 */
bool check_vat_pl(const char *id);       /* pl + 10: mod 11 */
bool check_vat_pt(const char *id);       /* pt + 9: mod 11 */
bool check_day_first(const char *id);    /* 8: DDMMYYYY or MMDDYYYY */
bool check_year_first(const char *id);   /* 8: YYYYMMDD */
bool check_has_digits(const char *id);   /* 9: four digits or more */

#endif
