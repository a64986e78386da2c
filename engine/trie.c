#include "engine/trie.h"

#include <stdlib.h>
#include <string.h>

/* An item and how its bytes begin, so that few texts are compared. */
struct sorted {
    uint64_t head; /* the first eight bytes, the first the highest */
    struct trie_item item;
};

static uint64_t head_of(struct span text) {
    uint64_t head = 0;

    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < text.size ? (unsigned char)text.at[i] : 0);
    return head;
}

static int compare(const void *a, const void *b) {
    const struct sorted *left = a, *right = b;
    struct span s = left->item.text, t = right->item.text;
    int order;

    if (left->head != right->head) return left->head < right->head ? -1 : 1;
    order = memcmp(s.at, t.at, s.size < t.size ? s.size : t.size);
    if (order) return order;
    if (s.size != t.size) return s.size < t.size ? -1 : 1;
    return (left->item.token > right->item.token) -
           (left->item.token < right->item.token);
}

static void sort(struct trie_item *items, int count) {
    struct sorted *order = xalloc_array((size_t)count, sizeof *order);

    for (int i = 0; i < count; i++)
        order[i] = (struct sorted){head_of(items[i].text), items[i]};
    qsort(order, (size_t)count, sizeof *order, compare);
    for (int i = 0; i < count; i++) items[i] = order[i].item;
    free(order);
}

static size_t shared_bytes(struct span a, struct span b) {
    size_t same = 0;

    while (same < a.size && same < b.size && a.at[same] == b.at[same]) same++;
    return same;
}

static int drop_long(struct trie_item *items, int count) {
    int kept = 0;

    for (int i = 0; i < count; i++)
        if (items[i].text.size <= TRIE_DEPTH_MAX) items[kept++] = items[i];
    return kept;
}

static void add_node(struct trie *t, int *capacity, struct trie_node node) {
    if (t->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 256;
        t->nodes =
            xrealloc_array(t->nodes, (size_t)*capacity, sizeof *t->nodes);
    }
    t->nodes[t->count++] = node;
}

/* `skip` of the open nodes is the node above them until they are closed. */
static void build(struct trie *t) {
    struct span last = {"", 0};
    int capacity = 0, open = -1;

    for (int i = 0; i < t->item_count; i++) {
        struct span text = t->items[i].text;
        size_t depth = shared_bytes(last, text);

        while (open >= 0 && t->nodes[open].depth > depth) {
            int above = t->nodes[open].skip;

            t->nodes[open].skip = t->count;
            open = above;
        }
        for (; depth < text.size; depth++) {
            add_node(t, &capacity,
                     (struct trie_node){.skip = open,
                                        .first = i,
                                        .depth = (uint16_t)(depth + 1),
                                        .byte = (unsigned char)text.at[depth]});
            open = t->count - 1;
        }
        t->nodes[open].count++;
        if ((int)text.size > t->depth_max) t->depth_max = (int)text.size;
        last = text;
    }
    while (open >= 0) {
        int above = t->nodes[open].skip;

        t->nodes[open].skip = t->count;
        open = above;
    }
}

void trie_init(struct trie *t, struct trie_item *items, int count) {
    *t = (struct trie){.items = items};
    t->item_count = drop_long(items, count);
    if (t->item_count > 1) sort(items, t->item_count);
    build(t);
}

void trie_clear(struct trie *t) {
    free(t->nodes);
    free(t->items);
    *t = (struct trie){0};
}

size_t trie_size(const struct trie *t) {
    return (size_t)t->count * sizeof *t->nodes +
           (size_t)t->item_count * sizeof *t->items;
}
