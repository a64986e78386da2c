/* ngram.h - the first tier of the learned score: three linear models (unsafe,
 * injection, English) over the hashed words, word pairs and letter n-grams of
 * a text (train/corral_train/ngrams.py writes the table). The table is read
 * where it is mapped and never written, so any thread may share it; a text
 * belongs to one thread. */
#ifndef CORRAL_GUARD_NGRAM_H
#define CORRAL_GUARD_NGRAM_H

#include "base/bytes.h"

enum ngram_label { NGRAM_UNSAFE, NGRAM_INJ, NGRAM_ENGLISH, NGRAM_LABELS };

enum { NGRAM_WORDS_MAX = 20000 }; /* later words of a text are not read */

struct ngram;
struct ngram_text; /* what one text has shown so far */

/* ERR_INPUT when the file is no such table. */
MUST_USE struct ngram *ngram_open(const char *path, struct err *err);
void ngram_close(struct ngram *n);
/* An answer is read together with its question, a newline between them. */
bool ngram_with_prompt(const struct ngram *n);

/* Borrows `n`. Memory grows with the distinct features, to 8 MB at most. */
struct ngram_text *ngram_text_new(const struct ngram *n);
void ngram_text_free(struct ngram_text *t);
/* More of the text. Cuts do not matter, not even inside a UTF-8 sequence. */
void ngram_text_add(struct ngram_text *t, struct span s);
/* The logits as if the text ended here; it may go on afterwards. */
void ngram_text_logits(const struct ngram_text *t, float out[NGRAM_LABELS]);

/* The share of the text's letters that are of another script than Latin, 0 to
 * 1; 0 without letters. Signs and symbols are no letters. */
float ngram_text_foreign(const struct ngram_text *t);

/* Each distinct feature of the text so far, once, in no order, by its bucket in
 * the table. */
typedef void ngram_each(void *user, uint32_t bucket);
void ngram_text_each(const struct ngram_text *t, ngram_each *each, void *user);

/* A whole text at once. */
void ngram_logits(const struct ngram *n, struct span text,
                  float out[NGRAM_LABELS]);

#endif
