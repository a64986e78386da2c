/* token_index.h - what the grammar asks of a vocabulary again and again, made
 * once with the tokenizer: its tokens as a trie, and which of them lie within
 * a JSON string or end one. Immutable. */
#ifndef CORRAL_ENGINE_TOKEN_INDEX_H
#define CORRAL_ENGINE_TOKEN_INDEX_H

#include "engine/trie.h"

/* A token that is nothing but characters of a JSON string, the last of which
 * may be incomplete. */
struct inside_token {
    int token;
    int characters; /* that it begins */
};

struct token_index {
    int vocab;
    size_t words;    /* of a mask: vocab / 64 + 1 */
    struct trie all; /* every token with a text */
    /* Tokens of whole characters, then a quote: by what comes from the quote
     * on (`before` and `plain` of what stands before it), and whole. */
    struct trie after_quote;
    struct trie with_quote;
    uint64_t *inside;           /* (words) bits: inside tokens */
    uint64_t *plain;            /* (words) bits: those without escapes */
    struct inside_token *sizes; /* inside tokens, most characters first */
    int inside_count;
    int *ends; /* tokens that end a text */
    int end_count;
};

struct token_list {
    struct span (*piece)(const void *user, int token);
    bool (*is_end)(const void *user, int token);
    const void *user;
    int vocab;
};

/* Borrows the pieces. */
struct token_index *token_index_new(const struct token_list *tokens);
void token_index_free(struct token_index *x);

#endif
