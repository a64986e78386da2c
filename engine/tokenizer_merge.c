#include "engine/tokenizer_merge.h"

#include <stdlib.h>

/* Up to so many symbols, looking at all of them beats keeping a heap. */
enum { SHORT_RUN = 48 };

void merge_begin(struct merge_run *run, size_t symbols) {
    run->count = 0;
    run->heap_count = 0;
    if (symbols <= run->capacity) return;
    if (symbols < 64) symbols = 64;
    run->symbols = xrealloc_array(run->symbols, symbols, sizeof *run->symbols);
    run->capacity = symbols;
}

void merge_add(struct merge_run *run, int token, size_t begin, size_t end) {
    int at = run->count++;

    run->symbols[at] = (struct symbol){token, (int)begin, (int)end,   at - 1,
                                       -1,    -1,         MERGE_NEVER};
    if (at > 0) run->symbols[at - 1].next = at;
}

void merge_clear(struct merge_run *run) {
    free(run->heap);
    free(run->symbols);
    *run = (struct merge_run){0};
}

/* ---- the heap ---- */

static void heap_push(struct merge_run *run, uint64_t key) {
    size_t at = run->heap_count++;

    if (at == run->heap_capacity) {
        run->heap_capacity = at ? at * 2 : 256;
        run->heap =
            xrealloc_array(run->heap, run->heap_capacity, sizeof *run->heap);
    }
    while (at > 0 && key < run->heap[(at - 1) / 2]) {
        run->heap[at] = run->heap[(at - 1) / 2];
        at = (at - 1) / 2;
        run->steps++;
    }
    run->heap[at] = key;
}

static uint64_t heap_pop(struct merge_run *run) {
    uint64_t top = run->heap[0], last = run->heap[--run->heap_count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < run->heap_count) {
        if (child + 1 < run->heap_count &&
            run->heap[child + 1] < run->heap[child])
            child++;
        if (last <= run->heap[child]) break;
        run->heap[at] = run->heap[child];
        at = child;
        run->steps++;
    }
    run->heap[at] = last;
    return top;
}

/* ---- merging ---- */

static void rank_pair(struct merge_run *run, int at, merge_rule *rule,
                      const void *rules) {
    struct symbol *left = &run->symbols[at];

    run->steps++;
    left->rank = left->next < 0 ? MERGE_NEVER
                                : rule(rules, left, &run->symbols[left->next],
                                       &left->merged);
}

static void join(struct merge_run *run, int at) {
    struct symbol *left = &run->symbols[at], *right = &run->symbols[left->next];

    left->token = left->merged;
    left->end = right->end;
    left->next = right->next;
    right->rank = MERGE_NEVER;
    if (left->next >= 0) run->symbols[left->next].previous = at;
}

static void merge_short(struct merge_run *run, merge_rule *rule,
                        const void *rules) {
    for (;;) {
        uint32_t lowest = MERGE_NEVER;
        int best = 0;

        for (int i = 0; i >= 0; i = run->symbols[i].next) {
            run->steps++;
            if (run->symbols[i].rank >= lowest) continue;
            lowest = run->symbols[i].rank;
            best = i;
        }
        if (lowest == MERGE_NEVER) return;
        join(run, best);
        rank_pair(run, best, rule, rules);
        if (run->symbols[best].previous >= 0)
            rank_pair(run, run->symbols[best].previous, rule, rules);
    }
}

static void offer(struct merge_run *run, int at, merge_rule *rule,
                  const void *rules) {
    rank_pair(run, at, rule, rules);
    if (run->symbols[at].rank != MERGE_NEVER)
        heap_push(run, (uint64_t)run->symbols[at].rank << 32 | (uint32_t)at);
}

/* An entry of the heap is stale when its symbol has another rank by now. Each
 * merge takes one entry and leaves two, so there are never more than twice
 * the symbols. */
static void merge_long(struct merge_run *run, merge_rule *rule,
                       const void *rules) {
    while (run->heap_count > 0) {
        uint64_t key = heap_pop(run);
        int at = (int)(uint32_t)key;
        struct symbol *left = &run->symbols[at];

        if (left->rank != key >> 32) continue;
        join(run, at);
        if (left->previous >= 0) offer(run, left->previous, rule, rules);
        offer(run, at, rule, rules);
    }
}

void merge_all(struct merge_run *run, merge_rule *rule, const void *rules) {
    bool is_short = run->count <= SHORT_RUN;

    for (int i = 0; i < run->count - 1; i++) {
        if (is_short)
            rank_pair(run, i, rule, rules);
        else
            offer(run, i, rule, rules);
    }
    if (run->count == 0) return;
    if (is_short)
        merge_short(run, rule, rules);
    else
        merge_long(run, rule, rules);
}
