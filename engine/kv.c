#include "engine/kv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"

/* Limits of a cache, well above what a machine of ours holds. */
enum { POSITIONS_MAX = 1 << 24, NONE = -1 };

/* A page holds the keys and values of KV_PAGE positions in all layers. Pages
 * with computed positions form a tree: a page's parent is the full page that
 * comes before it. One sequence at most, the owner, writes into a page; it
 * only ever appends, so others may read what is committed.
 *
 *   FREE -> (taken by a sequence) -> in the tree once a position of it is
 *   committed -> idle when its last sequence leaves -> FREE when evicted */
struct page {
    int refs;      /* live sequences that hold it */
    int committed; /* positions computed; more than 0: it is in the tree */
    int parent;    /* page, or NONE for the first of a text */
    int child;     /* first of its children */
    int next;      /* sibling, or the next free page */
    const struct sequence *owner;
    uint64_t used; /* when it was last let go or matched */
    struct kv_key keys[KV_PAGE];
};

struct kv {
    struct kv_shape shape;
    size_t half_bytes; /* K, or V, of one page in one layer */
    size_t page_bytes;
    uint8_t *data;
    size_t data_bytes;
    struct page *pages;
    int page_count;
    int free; /* head of the free list */
    int free_count;
    int idle_count; /* in the tree and without a sequence */
    int root;       /* first of the pages that begin a text */
    uint64_t clock;
};

struct sequence {
    struct kv *kv;
    int *pages;
    int page_count;
    int length;
    int committed;
};

struct kv *kv_new(const struct kv_shape *shape, struct err *err) {
    struct kv *kv;
    void *data;
    size_t bytes;

    if (shape->blocks < 1 || shape->kv_heads < 1 || shape->head_size < 1 ||
        shape->positions < 1 || shape->positions > POSITIONS_MAX) {
        err_set(err, ERR_LIMIT, "a KV cache of %d positions", shape->positions);
        return NULL;
    }
    if (shape->type == KV_Q8 && shape->head_size % KERNEL_GROUP) {
        err_set(err, ERR_UNSUPPORTED,
                "a q8_0 KV cache for heads of %d, not a multiple of %d",
                shape->head_size, KERNEL_GROUP);
        return NULL;
    }
    kv = xalloc(sizeof *kv);
    kv->shape = *shape;
    kv->page_count = (shape->positions + KV_PAGE - 1) / KV_PAGE;
    kv->half_bytes =
        (size_t)shape->kv_heads *
        kernel_kv_bytes((enum kernel_kv)shape->type, (size_t)shape->head_size);
    kv->page_bytes = kv->half_bytes * 2 * (size_t)shape->blocks;
    if (__builtin_mul_overflow(kv->page_bytes, (size_t)kv->page_count,
                               &bytes)) {
        err_set(err, ERR_LIMIT, "a KV cache of %d positions is too big",
                shape->positions);
        free(kv);
        return NULL;
    }
    data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        err_set(err, ERR_LIMIT, "a KV cache of %zu bytes: %s", bytes,
                strerror(errno));
        free(kv);
        return NULL;
    }
    /* What a layer reads is spread over all pages of a text. */
    (void)madvise(data, bytes, MADV_HUGEPAGE);
    kv->data = data;
    kv->data_bytes = bytes;
    kv->pages = xalloc_array((size_t)kv->page_count, sizeof *kv->pages);
    for (int i = 0; i < kv->page_count; i++)
        kv->pages[i].next = i + 1 < kv->page_count ? i + 1 : NONE;
    kv->free_count = kv->page_count;
    kv->root = NONE;
    return kv;
}

void kv_free(struct kv *kv) {
    if (!kv) return;
    munmap(kv->data, kv->data_bytes);
    free(kv->pages);
    free(kv);
}

int kv_positions_used(const struct kv *kv) {
    return (kv->page_count - kv->free_count - kv->idle_count) * KV_PAGE;
}

/* The tree. */

static int *children_of(struct kv *kv, int parent) {
    return parent == NONE ? &kv->root : &kv->pages[parent].child;
}

static void tree_attach(struct kv *kv, int page, int parent) {
    int *first = children_of(kv, parent);

    kv->pages[page].parent = parent;
    kv->pages[page].next = *first;
    *first = page;
}

static void tree_detach(struct kv *kv, int page) {
    int *link = children_of(kv, kv->pages[page].parent);

    while (*link != page) link = &kv->pages[*link].next;
    *link = kv->pages[page].next;
}

static void page_release(struct kv *kv, int page) {
    kv->pages[page].next = kv->free;
    kv->free = page;
    kv->free_count++;
}

/* Give the least recently used idle leaf back. A page with a sequence holds
 * all its ancestors, so below an idle page everything is idle, and while
 * there are idle pages one of them is a leaf. */
static void evict_one(struct kv *kv) {
    int oldest = NONE;

    for (int i = 0; i < kv->page_count; i++) {
        const struct page *p = &kv->pages[i];

        if (p->refs || !p->committed || p->child != NONE) continue;
        if (oldest == NONE || p->used < kv->pages[oldest].used) oldest = i;
    }
    assert(oldest != NONE);
    tree_detach(kv, oldest);
    kv->pages[oldest].committed = 0;
    kv->idle_count--;
    page_release(kv, oldest);
}

static void evict_below(struct kv *kv, int page) {
    while (kv->pages[page].child != NONE) {
        int leaf = kv->pages[page].child;

        while (kv->pages[leaf].child != NONE) leaf = kv->pages[leaf].child;
        assert(!kv->pages[leaf].refs);
        tree_detach(kv, leaf);
        kv->pages[leaf].committed = 0;
        kv->idle_count--;
        page_release(kv, leaf);
    }
}

/* A page for `owner`; the caller has made sure that there is one. */
static int page_take(struct kv *kv, const struct sequence *owner) {
    int page;

    if (kv->free == NONE) evict_one(kv);
    page = kv->free;
    kv->free = kv->pages[page].next;
    kv->free_count--;
    memset(&kv->pages[page], 0, sizeof kv->pages[page]);
    kv->pages[page].refs = 1;
    kv->pages[page].parent = NONE;
    kv->pages[page].child = NONE;
    kv->pages[page].next = NONE;
    kv->pages[page].owner = owner;
    return page;
}

static void page_hold(struct kv *kv, int page) {
    if (kv->pages[page].refs++ == 0) kv->idle_count--;
}

static void page_drop(struct kv *kv, int page, const struct sequence *s) {
    struct page *p = &kv->pages[page];

    if (p->owner == s) p->owner = NULL;
    p->used = ++kv->clock;
    if (--p->refs) return;
    if (p->committed)
        kv->idle_count++;
    else
        page_release(kv, page);
}

/* Sequences. */

static void sequence_push(struct sequence *s, int page) {
    if (s->page_count % 64 == 0)
        s->pages = xrealloc_array(s->pages, (size_t)s->page_count + 64,
                                  sizeof *s->pages);
    s->pages[s->page_count++] = page;
}

static int common_keys(const struct page *p, const struct kv_key *keys,
                       int count) {
    int n = 0;

    if (count > p->committed) count = p->committed;
    while (n < count && p->keys[n].token == keys[n].token &&
           p->keys[n].adapter == keys[n].adapter)
        n++;
    return n;
}

struct sequence *sequence_new(struct kv *kv, const struct kv_key *keys,
                              int count, int *matched) {
    struct sequence *s = xalloc(sizeof *s);
    int parent = NONE;
    int want = count - 1;

    s->kv = kv;
    while (s->length < want) {
        int best = NONE;
        int best_keys = 0;

        for (int i = *children_of(kv, parent); i != NONE;
             i = kv->pages[i].next) {
            int n =
                common_keys(&kv->pages[i], keys + s->length, want - s->length);

            if (n > best_keys) {
                best = i;
                best_keys = n;
            }
        }
        if (best == NONE) break;
        page_hold(kv, best);
        kv->pages[best].used = ++kv->clock;
        sequence_push(s, best);
        s->length += best_keys;
        if (best_keys < KV_PAGE) break;
        parent = best;
    }
    s->committed = s->length;
    *matched = s->length;
    return s;
}

/* Make page `from` the sequence's own, with its first `count` positions. */
static void page_copy(struct sequence *s, int from, int count) {
    struct kv *kv = s->kv;
    int to = page_take(kv, s);

    /* Positions lie interleaved, so what follows them comes along. */
    memcpy(kv->data + (size_t)to * kv->page_bytes,
           kv->data + (size_t)from * kv->page_bytes, kv->page_bytes);
    memcpy(kv->pages[to].keys, kv->pages[from].keys,
           (size_t)count * sizeof kv->pages[to].keys[0]);
    page_drop(kv, from, s);
    s->pages[s->page_count - 1] = to;
    /* The copied positions are computed: let others find them here too. */
    if (s->committed < s->length) return;
    kv->pages[to].committed = count;
    tree_attach(kv, to, s->page_count > 1 ? s->pages[s->page_count - 2] : NONE);
}

/* Make the last, partly filled page writable. */
static bool page_own(struct sequence *s, int fill, int fresh, struct err *err) {
    struct kv *kv = s->kv;
    int last = s->pages[s->page_count - 1];
    struct page *p = &kv->pages[last];
    int available = kv->free_count + kv->idle_count;
    bool alone = p->refs == 1 && !p->owner;

    if (alone && p->committed <= fill && p->child == NONE) {
        p->owner = s;
    } else if (available > fresh) {
        page_copy(s, last, fill);
    } else if (alone && available == fresh) {
        /* No room for a copy: what was cached behind `fill` goes instead. */
        evict_below(kv, last);
        p->committed = fill;
        p->owner = s;
    } else {
        return err_set(err, ERR_BUSY, "the KV cache is full");
    }
    return true;
}

bool sequence_extend(struct sequence *s, const struct kv_key *keys, int count,
                     struct err *err) {
    struct kv *kv = s->kv;
    int fill = s->length % KV_PAGE;
    int fresh;

    assert(count >= 0);
    if (!count) return true;
    if (count > kv->page_count * KV_PAGE - s->length)
        return err_set(err, ERR_BUSY, "the KV cache is full");
    fresh = (s->length + count + KV_PAGE - 1) / KV_PAGE - s->page_count;
    if (fresh > kv->free_count + kv->idle_count)
        return err_set(err, ERR_BUSY, "the KV cache is full");
    if (fill && kv->pages[s->pages[s->page_count - 1]].owner != s &&
        !page_own(s, fill, fresh, err))
        return false;
    for (int i = 0; i < count; i++) {
        int at = (s->length + i) % KV_PAGE;

        if (at == 0) sequence_push(s, page_take(kv, s));
        kv->pages[s->pages[s->page_count - 1]].keys[at] = keys[i];
    }
    s->length += count;
    return true;
}

void sequence_commit(struct sequence *s, int length) {
    struct kv *kv = s->kv;

    assert(length <= s->length);
    if (length <= s->committed) return;
    for (int i = s->committed / KV_PAGE; i * KV_PAGE < length; i++) {
        struct page *p = &kv->pages[s->pages[i]];
        int fill = length - i * KV_PAGE;

        if (fill > KV_PAGE) fill = KV_PAGE;
        if (p->owner != s || fill <= p->committed) continue;
        if (!p->committed)
            tree_attach(kv, s->pages[i], i ? s->pages[i - 1] : NONE);
        p->committed = fill;
    }
    s->committed = length;
}

void sequence_truncate(struct sequence *s, int length) {
    struct kv *kv = s->kv;
    int fill = length % KV_PAGE;
    struct page *p;

    assert(length >= 0);
    if (length >= s->length) return;
    while (s->page_count * KV_PAGE >= length + KV_PAGE)
        page_drop(kv, s->pages[--s->page_count], s);
    s->length = length;
    if (s->committed > length) s->committed = length;
    if (!fill) return;
    p = &kv->pages[s->pages[s->page_count - 1]];
    if (p->owner != s || p->committed <= fill) return;
    /* Others may have seen the forgotten positions: the page becomes one of
     * the cache's, and the next extension copies it or takes it back. */
    p->owner = NULL;
}

int sequence_length(const struct sequence *s) {
    return s->length;
}

void sequence_free(struct sequence *s) {
    if (!s) return;
    while (s->page_count) page_drop(s->kv, s->pages[--s->page_count], s);
    free(s->pages);
    free(s);
}

/* For the model. */

const struct kv_shape *sequence_shape(const struct sequence *s) {
    return &s->kv->shape;
}

void *sequence_k(const struct sequence *s, int block, int page) {
    const struct kv *kv = s->kv;

    return kv->data + (size_t)s->pages[page] * kv->page_bytes +
           (size_t)block * 2 * kv->half_bytes;
}

void *sequence_v(const struct sequence *s, int block, int page) {
    return (uint8_t *)sequence_k(s, block, page) + s->kv->half_bytes;
}
