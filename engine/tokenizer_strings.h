/* tokenizer_strings.h - the vocabulary as grammar.c reads it: struct
 * token_strings, made once. */
#ifndef CORRAL_ENGINE_TOKENIZER_STRINGS_H
#define CORRAL_ENGINE_TOKENIZER_STRINGS_H

#include "engine/tokenizer_vocab.h"

void token_strings_init(struct token_strings *strings, const struct vocab *v);
void token_strings_clear(struct token_strings *strings);

#endif
