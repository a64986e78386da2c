/* trie.h - texts read as a tree of their bytes: what two of them share is
 * walked once, and a byte that cannot come rules out all that begin like it.
 * Immutable once built. */
#ifndef CORRAL_ENGINE_TRIE_H
#define CORRAL_ENGINE_TRIE_H

#include <stdint.h>

#include "base/bytes.h"

struct trie_item {
    struct span text; /* borrowed; not empty */
    int token;
    int before; /* whatever the maker counts: characters before the text */
    bool plain; /* no escape stood before the text */
};

/* Nodes lie in the order of a walk, each before what is below it. */
struct trie_node {
    int skip;  /* the first node that is not below this one */
    int first; /* items[first .. first + count) end here */
    int count;
    uint16_t depth; /* bytes up to here, this one included: from 1 */
    unsigned char byte;
};

struct trie {
    struct trie_node *nodes;
    int count;
    struct trie_item *items; /* sorted by text, then by token */
    int item_count;
    int depth_max;
};

enum { TRIE_DEPTH_MAX = UINT16_MAX };

/* Takes `items`, which xalloc_array() made. Texts longer than TRIE_DEPTH_MAX
 * are left out. */
void trie_init(struct trie *t, struct trie_item *items, int count);
void trie_clear(struct trie *t);
/* Bytes that it holds. */
size_t trie_size(const struct trie *t);

#endif
