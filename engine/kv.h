/* kv.h - the KV cache: pages of positions, counted by reference, shared
 * between sequences with a common prefix (a radix tree over the keys below).
 * Owned by the scheduler thread; nothing here takes a lock.
 *
 * What a position holds depends on every token up to it and on the adapter
 * that was active at each of them, so a position's key is (token, adapter).
 * That one rule shares a conversation between the main model and every
 * activated adapter, and keeps full adapters apart. */
#ifndef CORRAL_ENGINE_KV_H
#define CORRAL_ENGINE_KV_H

#include "engine/kernel.h"

struct kv;
struct sequence;

enum kv_type {
    KV_F32 = KERNEL_KV_F32,
    KV_I16 = KERNEL_KV_I16,
    KV_Q8 = KERNEL_KV_Q8 /* Q8_0: half of I16; head_size a multiple of 32 */
};

struct kv_shape {
    int blocks; /* transformer layers */
    int kv_heads;
    int head_size;
    int positions; /* of all sequences together */
    enum kv_type type;
};

struct kv_key {
    int token;
    int adapter; /* 0: the bare base model */
};

/* All memory is taken here. */
MUST_USE struct kv *kv_new(const struct kv_shape *shape, struct err *err);
void kv_free(struct kv *kv);
int kv_positions_used(const struct kv *kv); /* by live sequences */

/* A sequence that begins as the longest cached prefix of keys[0..count);
 * *matched says how long that is (at most count - 1, since the last position
 * must be computed to get its output). Never fails. */
struct sequence *sequence_new(struct kv *kv, const struct kv_key *keys,
                              int count, int *matched);
/* Room for `count` more positions with these keys, evicting unused prefixes,
 * least recently used first; a page shared with another sequence is copied
 * before it is written. ERR_BUSY when live sequences hold everything; the
 * sequence is then unchanged. */
MUST_USE bool sequence_extend(struct sequence *s, const struct kv_key *keys,
                              int count, struct err *err);
/* Positions below `length` are computed: others may now share them. */
void sequence_commit(struct sequence *s, int length);
/* Forget positions from `length` on (rejected speculation). */
void sequence_truncate(struct sequence *s, int length);
int sequence_length(const struct sequence *s); /* with reserved positions */
/* Its committed pages stay in the tree until they are evicted. */
void sequence_free(struct sequence *s);

/* For the model alone: where page `page` (positions KV_PAGE * page on) of the
 * sequence lies in layer `block`: the parts of all KV heads, one after the
 * other, laid out as kernel.h says. Valid until the sequence is next
 * extended. */
enum { KV_PAGE = KERNEL_POSITIONS };
const struct kv_shape *sequence_shape(const struct sequence *s);
void *sequence_k(const struct sequence *s, int block, int page);
void *sequence_v(const struct sequence *s, int block, int page);

#endif
