/* gguf_make.h - write GGUF files for tests, sound ones and broken ones. */
#ifndef CORRAL_TESTS_UNIT_GGUF_MAKE_H
#define CORRAL_TESTS_UNIT_GGUF_MAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

/* A file under construction. The fields below the line describe a Llama for
 * gguf_make_llama() and may be changed by its `change`. */
struct gguf_make {
    struct bytes keys;
    struct bytes tensors;
    struct bytes data;
    uint64_t key_count;
    uint64_t tensor_count;

    const char *architecture;
    const char *rope_scaling; /* NULL: no key */
    const char *without;      /* a tensor to leave out */
    uint32_t blocks;
    uint32_t embedding;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t feed_forward_key;
    uint32_t vocab_key;
    float epsilon;
    float weight; /* the first of each matrix */
};

static inline void put(struct bytes *b, const void *at, size_t size) {
    bytes_put(b, (struct span){at, size});
}

static inline void put_u32(struct bytes *b, uint32_t n) {
    put(b, &n, sizeof n);
}

static inline void put_u64(struct bytes *b, uint64_t n) {
    put(b, &n, sizeof n);
}

static inline void put_text(struct bytes *b, const char *text) {
    put_u64(b, strlen(text));
    bytes_puts(b, text);
}

/* A key and its kind; the value follows. */
static inline void make_key(struct gguf_make *m, const char *key,
                            uint32_t kind) {
    put_text(&m->keys, key);
    put_u32(&m->keys, kind);
    m->key_count++;
}

static inline void make_u32(struct gguf_make *m, const char *key, uint32_t n) {
    make_key(m, key, 4);
    put_u32(&m->keys, n);
}

static inline void make_f32(struct gguf_make *m, const char *key, float n) {
    make_key(m, key, 6);
    put(&m->keys, &n, sizeof n);
}

static inline void make_string(struct gguf_make *m, const char *key,
                               const char *text) {
    make_key(m, key, 8);
    put_text(&m->keys, text);
}

/* An F32 tensor of n rows of k; n of 0 makes a vector. Values come from a
 * small generator, so that the same name and size give the same numbers. */
static inline void make_f32_tensor(struct gguf_make *m, const char *name,
                                   uint64_t k, uint64_t n, float first,
                                   float offset) {
    uint32_t seed = (uint32_t)strlen(name) * 2654435761u;
    static const char zeros[32];

    while (m->data.size % 32) put(&m->data, zeros, 1);
    put_text(&m->tensors, name);
    put_u32(&m->tensors, n ? 2 : 1);
    put_u64(&m->tensors, k);
    if (n) put_u64(&m->tensors, n);
    put_u32(&m->tensors, 0);
    put_u64(&m->tensors, m->data.size);
    m->tensor_count++;
    for (uint64_t i = 0; i < k * (n ? n : 1); i++) {
        float v;

        seed = seed * 1664525u + 1013904223u;
        v = offset + ((float)(seed >> 8) / (float)(1 << 24) - 0.5f) * 0.3f;
        if (i == 0) v += first;
        put(&m->data, &v, sizeof v);
    }
}

static inline void make_layer(struct gguf_make *m, int block, uint64_t width,
                              uint64_t kv, uint64_t feed) {
    const struct {
        const char *name;
        uint64_t k, n;
    } all[] = {
        {"attn_norm", width, 0},   {"ffn_norm", width, 0},
        {"attn_q", width, width},  {"attn_k", width, kv},
        {"attn_v", width, kv},     {"attn_output", width, width},
        {"ffn_gate", width, feed}, {"ffn_up", width, feed},
        {"ffn_down", feed, width},
    };
    char name[64];

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        (void)snprintf(name, sizeof name, "blk.%d.%s.weight", block,
                       all[i].name);
        if (m->without && !strcmp(m->without, name)) continue;
        make_f32_tensor(m, name, all[i].k, all[i].n, all[i].n ? m->weight : 0,
                        all[i].n ? 0 : 1);
    }
}

/* One block of 64, tied head, vocabulary of 40. */
static inline void gguf_make_llama(struct gguf_make *m,
                                   void (*change)(struct gguf_make *)) {
    uint64_t width;

    m->architecture = "llama";
    m->blocks = 1;
    m->embedding = 64;
    m->heads = 2;
    m->kv_heads = 1;
    m->feed_forward_key = 96;
    m->vocab_key = 40;
    m->epsilon = 1e-5f;
    if (change) change(m);
    width = m->embedding;
    make_string(m, "general.architecture", m->architecture);
    make_u32(m, "llama.block_count", m->blocks);
    make_u32(m, "llama.context_length", 64);
    make_u32(m, "llama.embedding_length", m->embedding);
    make_u32(m, "llama.feed_forward_length", m->feed_forward_key);
    make_u32(m, "llama.attention.head_count", m->heads);
    make_u32(m, "llama.attention.head_count_kv", m->kv_heads);
    make_u32(m, "llama.vocab_size", m->vocab_key);
    make_f32(m, "llama.attention.layer_norm_rms_epsilon", m->epsilon);
    if (m->rope_scaling)
        make_string(m, "llama.rope.scaling.type", m->rope_scaling);
    make_f32_tensor(m, "token_embd.weight", width, 40, 0, 0);
    make_f32_tensor(m, "output_norm.weight", width, 0, 0, 1);
    make_layer(m, 0, width, width / m->heads * m->kv_heads, 96);
}

static inline void gguf_make_bytes(struct gguf_make *m, struct bytes *out) {
    static const char zeros[32];

    bytes_puts(out, "GGUF");
    put_u32(out, 3);
    put_u64(out, m->tensor_count);
    put_u64(out, m->key_count);
    bytes_put(out, span_bytes(&m->keys));
    bytes_put(out, span_bytes(&m->tensors));
    while (out->size % 32) put(out, zeros, 1);
    bytes_put(out, span_bytes(&m->data));
}

static inline void write_temporary(char *path, struct span s) {
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, s.at, s.size) != (ssize_t)s.size || close(fd))
        abort();
}

/* To a new file; `path` is a template for mkstemp(). Empties `m`. */
static inline void gguf_make_write(struct gguf_make *m, char *path) {
    struct bytes out = {0};

    gguf_make_bytes(m, &out);
    write_temporary(path, span_bytes(&out));
    bytes_free(&out);
    bytes_free(&m->keys);
    bytes_free(&m->tensors);
    bytes_free(&m->data);
}

#endif
