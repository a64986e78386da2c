/* entity.h - identifiers of people, accounts and machines, found by form and
 * proven by checksum or context, so that a number is not taken for a card. */
#ifndef CORRAL_GUARD_ENTITY_H
#define CORRAL_GUARD_ENTITY_H

#include "base/bytes.h"

enum entity_kind {
    ENTITY_EMAIL,
    ENTITY_PHONE,
    ENTITY_IBAN, /* mod 97 and the country's length */
    ENTITY_CARD, /* Luhn and a known prefix */
    ENTITY_IP,
    ENTITY_API_KEY,     /* known vendors' prefixes and shapes */
    ENTITY_PRIVATE_KEY, /* PEM */
    /* A state's numbers: entity_national.c says what proves each. */
    ENTITY_IT_CF,
    ENTITY_FR_NIR,
    ENTITY_DE_STEUER_ID,
    ENTITY_DE_ID_CARD,
    ENTITY_ES_DNI, /* and NIE */
    ENTITY_PT_NIF,
    ENTITY_BR_CPF,
    ENTITY_BR_CNPJ,
    ENTITY_UK_NHS,
    ENTITY_UK_NINO,
    ENTITY_US_SSN,
    ENTITY_US_ITIN,
    ENTITY_IN_AADHAAR,
    ENTITY_IN_PAN,
    ENTITY_TH_ID,
    ENTITY_NL_BSN,
    ENTITY_PL_PESEL,
    ENTITY_BE_RRN,
    ENTITY_SE_PERSONNUMMER,
    ENTITY_FI_HETU,
    ENTITY_CH_AHV,
    ENTITY_PASSPORT,
    ENTITY_DRIVING_LICENCE,
    ENTITY_US_ROUTING,
    ENTITY_VAT_ID,
    ENTITY_BIRTH_DATE,
    ENTITY_KIND_COUNT
};

struct entity_hit {
    enum entity_kind kind;
    size_t from, end; /* bytes of the text */
};

const char *entity_name(enum entity_kind kind); /* "email" */
/* The kinds that a policy means by a name, as a bit set: one, or those of a
 * group ("national_id"). 0 when there are none. */
uint64_t entity_kinds(const char *name);

/* Hits of the wanted kinds (bit set), in order, not overlapping: the longest
 * wins. How many were stored, at most `max`. Linear time. */
int entity_scan(struct span text, uint64_t kinds, struct entity_hit *hits,
                int max);
/* See policy_hold(). */
size_t entity_hold(struct span text, uint64_t kinds);
/* The same where text[0..decided) is only what stands before: nothing that
 * begins there counts. */
int entity_scan_tail(struct span text, size_t decided, uint64_t kinds,
                     struct entity_hit *hits, int max);
size_t entity_hold_tail(struct span text, size_t decided, uint64_t kinds);

#endif
