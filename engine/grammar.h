/* grammar.h - which tokens may come next. A JSON Schema (or a list of choices)
 * is compiled to a byte-level automaton; the mask of allowed tokens comes from
 * walking the vocabulary as a trie, so that output is always valid. Fails
 * closed: what cannot be enforced is refused when it is compiled. */
#ifndef CORRAL_ENGINE_GRAMMAR_H
#define CORRAL_ENGINE_GRAMMAR_H

#include "base/json.h"
#include "engine/tokenizer.h"

enum { GRAMMAR_BYTES_MAX = 1 << 20, GRAMMAR_DEPTH_MAX = 32 };

struct grammar;       /* compiled, immutable, counted by reference */
struct grammar_state; /* one text's place in it */

/* Compact JSON (no free blanks but one optional space after ':' and ',') that
 * is valid for `schema`: type (and lists of types), properties, required,
 * additionalProperties false or absent, items, minItems/maxItems, enum, const,
 * anyOf/oneOf, $ref into #/$defs and #/definitions, string minLength/
 * maxLength, integer and number, minimum/maximum for integers, boolean, null;
 * {} or true is any JSON value to a bounded depth. Declared properties come in
 * their declared order, optional ones may be left out. Keywords that only
 * annotate (title, description, default, examples, $schema, format) are
 * ignored; others are ERR_UNSUPPORTED with err.field naming the place. */
MUST_USE struct grammar *grammar_from_schema(const cJSON *schema,
                                             struct err *err);
/* One of these texts, whole. */
MUST_USE struct grammar *grammar_from_choices(const struct span *choices,
                                              int count, struct err *err);
/* `before`, then the body of `inner`, then `after`: to wrap a tool call. The
 * parts of a sequence; takes no ownership of `inner`. */
MUST_USE struct grammar *grammar_wrap(struct span before,
                                      const struct grammar *inner,
                                      struct span after, struct err *err);
/* Any one of them. Takes no ownership. */
MUST_USE struct grammar *grammar_any(const struct grammar *const *list,
                                     int count, struct err *err);
/* `inner` once or more, up to `most` times, with `between` between them. */
MUST_USE struct grammar *grammar_repeat(const struct grammar *inner, int most,
                                        struct span between, struct err *err);
struct grammar *grammar_ref(struct grammar *g);
void grammar_free(struct grammar *g); /* drops one reference */

struct grammar_state *grammar_state_new(const struct grammar *g);
void grammar_state_free(struct grammar_state *s);
/* Feed bytes already accepted by the mask (or to validate a text): false when
 * they leave the grammar, and the state is then dead. */
bool grammar_state_feed(struct grammar_state *s, struct span bytes);
bool grammar_state_done(const struct grammar_state *s); /* may end here */
/* May end here, and nothing else may follow. */
bool grammar_state_final(const struct grammar_state *s);
/* mask[vocab / 64 + 1] bit t set when token t may follow. End tokens are set
 * exactly when the text may end here. */
void grammar_state_mask(const struct grammar_state *s,
                        const struct tokenizer *t, uint64_t *mask);

#endif
