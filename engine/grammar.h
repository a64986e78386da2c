/* grammar.h - which tokens may come next. A JSON Schema (or a list of choices)
 * is compiled to a byte-level automaton; the mask of allowed tokens comes from
 * walking the vocabulary as a trie, so that output is always valid. Fails
 * closed: what cannot be enforced is refused when it is compiled. */
#ifndef CORRAL_ENGINE_GRAMMAR_H
#define CORRAL_ENGINE_GRAMMAR_H

#include "base/json.h"
#include "engine/tokenizer.h"

enum { GRAMMAR_DEPTH_MAX = 32 };

struct grammar;       /* compiled, immutable, counted by reference */
struct grammar_state; /* one text's place in it */

/* Compact JSON (no free blanks but one optional space after ':' and ',') that
 * is valid for `schema`. Enforced:
 *   any value    type (and lists of types), enum, const, anyOf, oneOf, allOf,
 *                $ref into #, #/$defs and #/definitions, to GRAMMAR_DEPTH_MAX
 *                levels; {} and true are any JSON value
 *   object       properties, required, additionalProperties, minProperties,
 *                maxProperties. Declared properties come in their declared
 *                order and no others are written; without declared ones keys
 *                are free and differ
 *   array        items, prefixItems, minItems, maxItems
 *   string       minLength, maxLength, pattern (see grammar_regex.h), format
 *                (those of grammar_format.c; others only annotate)
 *   number       minimum, maximum, exclusiveMinimum, exclusiveMaximum,
 *                multipleOf (see grammar_number.h)
 * Keywords that JSON Schema knows and that are not here (not, if, contains,
 * uniqueItems, patternProperties, propertyNames, dependent*, unevaluated*) are
 * ERR_UNSUPPORTED, and so is a oneOf of which two alternatives cannot be shown
 * to exclude each other; those that only annotate, and words that JSON Schema
 * does not know, are ignored. A schema that is too large, or would take too
 * long to compile, is ERR_LIMIT. err.field names the place. */
MUST_USE struct grammar *grammar_from_schema(const cJSON *schema,
                                             struct err *err);
/* The members of such an object as keyword arguments of a Python call:
 * `a="x", b=True`, and so in all values. Strings are JSON's, which are Python's
 * too. ERR_UNSUPPORTED also for a schema that is no plain object, and for names
 * that are none in Python. */
MUST_USE struct grammar *grammar_from_keywords(const cJSON *schema,
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
 * exactly when the text may end here. Of the other tokens, those are left out
 * after which the text could no longer be finished with the tokens that are
 * left (this one among them), so that a text that is cut short is valid too;
 * a byte is reckoned a token. Where that is too late already, only tokens that
 * bring the end nearer are in, if there are any. */
void grammar_state_mask(const struct grammar_state *s,
                        const struct tokenizer *t, int tokens_left,
                        uint64_t *mask);

#endif
