/* entity_forms.h - what an identifier looks like. One function a kind tells
 * whether one begins at a place; entity.c walks over the text and asks. */
#ifndef CORRAL_GUARD_ENTITY_FORMS_H
#define CORRAL_GUARD_ENTITY_FORMS_H

#include "base/bytes.h"
#include "guard/entity.h"

enum {
    /* How far to the left a form may look: callers that trim a stream must
     * keep more than this before the first byte not yet decided. */
    ENTITY_CONTEXT_MAX = 48,
    ENTITY_KEY_MAX = 256,  /* bytes of an API key */
    ENTITY_JWT_MAX = 4096, /* of a JSON web token */
    ENTITY_PEM_MAX = 8192  /* of a private key with its marks */
};

/* A text under examination. */
struct form {
    struct span text;
    /* An answer needed a byte behind the end of the text: more text could
     * change it. Set by form_byte(), cleared by the caller. */
    bool touched;
    size_t from; /* where the match begins, when not at the place asked */
};

/* The byte at `at`, or -1 at the end, which is remembered. */
static inline int form_byte(struct form *f, size_t at) {
    if (at < f->text.size) return (unsigned char)f->text.at[at];
    f->touched = true;
    return -1;
}

/* The byte before `at`, or -1 at the start of the text. */
static inline int form_before(const struct form *f, size_t at) {
    return at ? (unsigned char)f->text.at[at - 1] : -1;
}

/* Of a byte, or of -1. Written without branches: texts are no pattern that a
 * processor could guess. */
static inline bool form_is_digit(int c) {
    return (unsigned)c - '0' < 10;
}

static inline bool form_is_letter(int c) {
    return ((unsigned)c | 0x20) - 'a' < 26;
}

static inline bool form_is_alnum(int c) {
    return (int)form_is_digit(c) | form_is_letter(c);
}

static inline bool form_is_hex(int c) {
    return (int)form_is_digit(c) | (((unsigned)c | 0x20) - 'a' < 6);
}

static inline int form_lower(int c) {
    return (unsigned)c - 'A' < 26 ? c + 32 : c;
}

/* Does the text go on with `word` (lower case) at `at`, in any case. */
bool form_word(struct form *f, size_t at, const char *word);
/* Does one of `names` ("a|b c", lower case) stand as a word in the bytes before
 * `at` that a form may look at, with less than `gap` bytes behind it. Linear in
 * those and in the names. */
bool form_is_named(struct span text, size_t at, size_t gap, const char *names);

/* The end of the match that begins at `at` (or at form.from), 0 when there is
 * none. Each reads a bounded number of bytes. */
size_t form_email(struct form *f, size_t at); /* at the '@' */
size_t form_ip(struct form *f, size_t at);
size_t form_phone(struct form *f, size_t at);
size_t form_card(struct form *f, size_t at);
size_t form_iban(struct form *f, size_t at);
size_t form_api_key(struct form *f, size_t at);
size_t form_private_key(struct form *f, size_t at);
/* A number given by a state, of the kinds wanted: which one is in `kind`. */
size_t form_national(struct form *f, size_t at, uint64_t kinds,
                     enum entity_kind *kind);

/* Where an e-mail address would begin whose '@' stood at `at`; `at` when there
 * is none. */
size_t form_email_start(struct span text, size_t at);

#endif
