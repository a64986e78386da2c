#include "engine/grammar_nfa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"

enum {
    MEMBERS_MAX = 1 << 22, /* nodes in all sets together */
    SLOTS = 4 * DFA_STATES_MAX
};

/* ---- building ---- */

static int add(struct nfa *n, struct nfa_node node) {
    if (n->count == NFA_NODES_MAX) {
        n->full = true;
        return 0;
    }
    if (n->count == n->capacity) {
        n->capacity *= 2;
        n->nodes =
            xrealloc_array(n->nodes, (size_t)n->capacity, sizeof *n->nodes);
    }
    n->nodes[n->count] = node;
    return n->count++;
}

void nfa_init(struct nfa *n) {
    *n = (struct nfa){.capacity = 64, .count = 1};
    n->nodes = xalloc_array((size_t)n->capacity, sizeof *n->nodes);
}

void nfa_clear(struct nfa *n) {
    free(n->nodes);
    *n = (struct nfa){0};
}

int nfa_range(struct nfa *n, int low, int high, bool first, int next) {
    return add(n, (struct nfa_node){.kind = NFA_RANGE,
                                    .low = (unsigned char)low,
                                    .high = (unsigned char)high,
                                    .first = first,
                                    .next = next});
}

int nfa_fork(struct nfa *n, int next, int other) {
    return add(
        n, (struct nfa_node){.kind = NFA_FORK, .next = next, .other = other});
}

int nfa_anchor(struct nfa *n, enum nfa_kind kind, int next) {
    return add(n, (struct nfa_node){.kind = kind, .next = next});
}

int nfa_reserve(struct nfa *n, int other) {
    return nfa_fork(n, other, other);
}

void nfa_loop(struct nfa *n, int fork, int next) {
    if (!n->full) n->nodes[fork].next = next;
}

/* ---- characters ---- */

static int either(struct nfa *n, int way, int node) {
    return node < 0 ? way : nfa_fork(n, way, node);
}

/* Code points whose UTF-8 differs only within a range of values at each
 * byte; larger ranges are cut where a byte is carried into the one before. */
static int sequences(struct nfa *n, uint32_t low, uint32_t high, int next,
                     int node) {
    char from[UTF8_MAX], end[UTF8_MAX];
    size_t size;

    for (unsigned bits = 6; bits <= 18; bits += 6) {
        uint32_t mask = (1u << bits) - 1;

        if (low < 0x80 || (low & ~mask) == (high & ~mask)) continue;
        if (low & mask) {
            node = sequences(n, low, low | mask, next, node);
            return sequences(n, (low | mask) + 1, high, next, node);
        }
        if ((high & mask) != mask) {
            node = sequences(n, low, (high & ~mask) - 1, next, node);
            return sequences(n, high & ~mask, high, next, node);
        }
    }
    size = utf8_encode(low, from);
    (void)utf8_encode(high, end);
    while (size-- > 0)
        next = nfa_range(n, (unsigned char)from[size], (unsigned char)end[size],
                         size == 0, next);
    return either(n, next, node);
}

/* Cut where the number of bytes changes, and around the surrogates. */
static int unescaped(struct nfa *n, uint32_t low, uint32_t high, int next,
                     int node) {
    static const struct point_range parts[] = {
        {0x20, 0x21},    {0x23, 0x5B},     {0x5D, 0x7F},       {0x80, 0x7FF},
        {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, 0x10FFFF}};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint32_t from = low > parts[i].low ? low : parts[i].low;
        uint32_t end = high < parts[i].high ? high : parts[i].high;

        if (from <= end) node = sequences(n, from, end, next, node);
    }
    return node;
}

static void escape_of(uint32_t point, char out[8]) {
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    const char *letter = letters;

    while (*letter && (unsigned char)*letter != point) letter += 2;
    if (*letter)
        (void)snprintf(out, 8, "\\%c", letter[1]);
    else
        (void)snprintf(out, 8, "\\u%04x", (unsigned)point & 0xFFFF);
}

static int escaped(struct nfa *n, uint32_t point, int next, int node) {
    char text[8];

    escape_of(point, text);
    for (size_t i = strlen(text); i-- > 0;)
        next = nfa_range(n, (unsigned char)text[i], (unsigned char)text[i],
                         i == 0, next);
    return either(n, next, node);
}

int nfa_character(struct nfa *n, const struct point_range *ranges, int count,
                  int next) {
    int node = -1;

    for (int i = 0; i < count; i++) {
        uint32_t low = ranges[i].low, high = ranges[i].high;

        for (uint32_t p = low ? low : 1; p < 0x20 && p <= high; p++)
            node = escaped(n, p, next, node);
        if (low <= '"' && high >= '"') node = escaped(n, '"', next, node);
        if (low <= '\\' && high >= '\\') node = escaped(n, '\\', next, node);
        node = unescaped(n, low, high, next, node);
    }
    return node;
}

/* ---- making it deterministic ---- */

/* A state of the DFA is the set of nodes that it waits at. */
struct set {
    size_t first; /* in `members` */
    int count;
};

struct maker {
    const struct nfa *nfa;
    struct dfa_draft draft;
    struct set *sets; /* (DFA_STATES_MAX) */
    int *members;
    size_t member_count;
    size_t member_capacity;
    int *slots;   /* (SLOTS) a state + 1, by the hash of its set */
    int *visited; /* (nfa->count) the round that came by */
    int *stack;   /* (nfa->count + 1) */
    int *found;   /* (nfa->count) */
    int found_count;
    int round;
    int final; /* after the quote; -1: not made yet */
    long *work;
    bool quoted;
};

static void visit(struct maker *m, int node, int *depth) {
    if (m->visited[node] == m->round) return;
    m->visited[node] = m->round;
    m->stack[(*depth)++] = node;
}

/* Add to `found` where one may wait after coming to `node`. `begin`: nothing
 * was read yet; `end`: nothing will be. */
static void follow(struct maker *m, int node, bool begin, bool end) {
    int depth = 0;

    visit(m, node, &depth);
    while (depth > 0) {
        const struct nfa_node *n;

        node = m->stack[--depth];
        n = &m->nfa->nodes[node];
        --*m->work;
        if (n->kind == NFA_FORK) {
            visit(m, n->next, &depth);
            visit(m, n->other, &depth);
        } else if (n->kind == NFA_BEGIN) {
            if (begin) visit(m, n->next, &depth);
        } else if (n->kind == NFA_END && end) {
            visit(m, n->next, &depth);
        } else {
            m->found[m->found_count++] = node;
        }
    }
}

static int compare_ints(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;

    return (left > right) - (left < right);
}

/* Whether the text may end at the set in `found`. `begin` still holds when
 * nothing was read: "^$" fits the empty text. */
static bool may_end(struct maker *m, bool begin) {
    int count = m->found_count;
    bool accept = false;

    for (int i = 0; i < count; i++)
        accept |= m->nfa->nodes[m->found[i]].kind == NFA_ACCEPT;
    m->round++;
    for (int i = 0; i < count && !accept; i++) {
        const struct nfa_node *n = &m->nfa->nodes[m->found[i]];

        if (n->kind != NFA_END) continue;
        follow(m, n->next, begin, true);
        while (m->found_count > count)
            accept |=
                m->nfa->nodes[m->found[--m->found_count]].kind == NFA_ACCEPT;
    }
    return accept;
}

static bool at_boundary(const struct maker *m) {
    for (int i = 0; i < m->found_count; i++) {
        const struct nfa_node *n = &m->nfa->nodes[m->found[i]];

        if (n->kind != NFA_RANGE || n->first) return true;
    }
    return false;
}

static int final_state(struct maker *m) {
    if (m->final < 0) {
        m->final = dfa_state(&m->draft, true, false);
        if (!m->draft.full) m->sets[m->final] = (struct set){0, 0};
    }
    return m->final;
}

static void keep_members(struct maker *m, int state) {
    size_t count = (size_t)m->found_count;

    if (m->member_count + count > m->member_capacity) {
        m->member_capacity = 2 * (m->member_count + count);
        m->members =
            xrealloc_array(m->members, m->member_capacity, sizeof *m->members);
    }
    memcpy(m->members + m->member_count, m->found, count * sizeof *m->found);
    m->sets[state] = (struct set){m->member_count, m->found_count};
    m->member_count += count;
    if (m->member_count > MEMBERS_MAX) m->draft.full = true;
}

/* The state of the set in `found`, made if it is new. `accept` is a function
 * of the set but for the very first one, which nothing leads back to. */
static int state_of(struct maker *m, bool begin) {
    size_t bytes = (size_t)m->found_count * sizeof *m->found, slot;
    bool accept;
    int state;

    qsort(m->found, (size_t)m->found_count, sizeof *m->found, compare_ints);
    slot = (size_t)hash_fnv1a(HASH_FNV1A_START,
                              (struct span){(char *)m->found, bytes}) %
           SLOTS;
    for (; m->slots[slot]; slot = (slot + 1) % SLOTS) {
        const struct set *set = &m->sets[m->slots[slot] - 1];

        if (set->count == m->found_count &&
            !memcmp(m->members + set->first, m->found, bytes))
            return m->slots[slot] - 1;
    }
    accept = may_end(m, begin);
    state = dfa_state(&m->draft, accept && !m->quoted, at_boundary(m));
    if (m->draft.full) return 0;
    keep_members(m, state);
    if (!begin) m->slots[slot] = state + 1;
    if (accept && m->quoted)
        dfa_edge(&m->draft, state, '"', '"', final_state(m));
    return state;
}

/* The state after a byte of [low, high), for which all ranges agree. */
static void edge(struct maker *m, int state, int low, int high) {
    struct set set = m->sets[state];

    m->found_count = 0;
    m->round++;
    for (int i = 0; i < set.count; i++) {
        const struct nfa_node *n =
            &m->nfa->nodes[m->members[set.first + (size_t)i]];

        --*m->work;
        if (n->kind == NFA_RANGE && n->low <= low && n->high >= low)
            follow(m, n->next, false, false);
    }
    if (m->found_count > 0)
        dfa_edge(&m->draft, state, low, high - 1, state_of(m, false));
}

static void edges(struct maker *m, int state) {
    struct set set = m->sets[state];
    bool cut[257] = {[256] = true};
    int low = 0;

    for (int i = 0; i < set.count; i++) {
        const struct nfa_node *n =
            &m->nfa->nodes[m->members[set.first + (size_t)i]];

        if (n->kind == NFA_RANGE) cut[n->low] = cut[n->high + 1] = true;
    }
    for (int byte = 1; byte <= 256; byte++) {
        if (!cut[byte]) continue;
        edge(m, state, low, byte);
        low = byte;
    }
}

static struct dfa *make(struct maker *m, int start, struct err *err) {
    m->round++;
    follow(m, start, true, false);
    (void)state_of(m, true);
    for (int i = 0; i < m->draft.count && !m->draft.full; i++) {
        edges(m, i);
        if (*m->work < 0) m->draft.full = true;
    }
    return dfa_finish(&m->draft, err);
}

struct dfa *nfa_dfa(const struct nfa *n, int start, bool quoted, long *work,
                    struct err *err) {
    size_t count = (size_t)n->count;
    struct maker m = {.nfa = n, .final = -1, .quoted = quoted, .work = work};
    struct dfa *out;

    if (n->full) {
        err_set(err, ERR_LIMIT, "needs more than %d nodes", NFA_NODES_MAX);
        return NULL;
    }
    m.sets = xalloc_array(DFA_STATES_MAX, sizeof *m.sets);
    m.slots = xalloc_array(SLOTS, sizeof *m.slots);
    m.visited = xalloc_array(count, sizeof *m.visited);
    m.stack = xalloc_array(count + 1, sizeof *m.stack);
    m.found = xalloc_array(2 * count, sizeof *m.found);
    out = make(&m, start, err);
    free(m.sets);
    free(m.members);
    free(m.slots);
    free(m.visited);
    free(m.stack);
    free(m.found);
    return out;
}
