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
    ENTITY_KIND_COUNT
};

struct entity_hit {
    enum entity_kind kind;
    size_t from, end; /* bytes of the text */
};

const char *entity_name(enum entity_kind kind); /* "email" */
bool entity_from_name(const char *name, enum entity_kind *out);

/* Hits of the wanted kinds (bit set), in order, not overlapping: the longest
 * wins. How many were stored, at most `max`. Linear time. */
int entity_scan(struct span text, uint32_t kinds, struct entity_hit *hits,
                int max);
/* See policy_hold(). */
size_t entity_hold(struct span text, uint32_t kinds);
/* The same where text[0..decided) is only what stands before: nothing that
 * begins there counts. */
int entity_scan_tail(struct span text, size_t decided, uint32_t kinds,
                     struct entity_hit *hits, int max);
size_t entity_hold_tail(struct span text, size_t decided, uint32_t kinds);

#endif
