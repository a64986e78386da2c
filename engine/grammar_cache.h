/* grammar_cache.h - what a whole vocabulary does from a state of a DFA, kept
 * once it was worked out. Bounded; shared by the texts of one grammar, so it
 * has a lock, held as long as an entry is used. */
#ifndef CORRAL_ENGINE_GRAMMAR_CACHE_H
#define CORRAL_ENGINE_GRAMMAR_CACHE_H

#include <pthread.h>

#include "engine/grammar_dfa.h"
#include "engine/token_index.h"

enum { GRAMMAR_CACHE_BYTES_MAX = 8 << 20, GRAMMAR_CACHE_ENTRIES_MAX = 2048 };

struct dfa_tokens {
    const struct dfa *dfa;
    int state;
    /* Tokens that stay within the DFA: a mask when they are many, else a list
     * of them. */
    uint64_t *mask;
    int *tokens;
    int token_count;
    /* What comes after a part that it accepts, of those that leave it. */
    struct trie leaving;
};

struct grammar_cache {
    pthread_mutex_t lock;
    const struct token_index *index; /* that the entries are about */
    struct dfa_tokens **slots;       /* made with the first entry */
    int count;
    size_t bytes;
};

void grammar_cache_init(struct grammar_cache *c);
void grammar_cache_clear(struct grammar_cache *c);
/* Borrowed until grammar_cache_leave(), which must follow. */
const struct dfa_tokens *grammar_cache_enter(struct grammar_cache *c,
                                             const struct dfa *d, int state,
                                             const struct token_index *x);
void grammar_cache_leave(struct grammar_cache *c);

#endif
