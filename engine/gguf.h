/* gguf.h - a model file mapped read-only, every offset proved. After
 * gguf_open() succeeds no field of the file can send a reader out of bounds:
 * lengths fit in the file, tensors lie inside the data section, strings are
 * inside their value. Immutable, so any thread may read it. */
#ifndef CORRAL_ENGINE_GGUF_H
#define CORRAL_ENGINE_GGUF_H

#include "base/bytes.h"

struct gguf;

/* Numbers are the file's own (ggml_type). */
enum gguf_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q4_0 = 2,
    GGUF_Q4_1 = 3,
    GGUF_Q5_0 = 6,
    GGUF_Q5_1 = 7,
    GGUF_Q8_0 = 8,
    GGUF_Q2_K = 10,
    GGUF_Q3_K = 11,
    GGUF_Q4_K = 12,
    GGUF_Q5_K = 13,
    GGUF_Q6_K = 14,
    GGUF_IQ4_NL = 20,
    GGUF_I8 = 24,
    GGUF_BF16 = 30
};

enum { GGUF_DIMS_MAX = 4 };

struct gguf_tensor {
    struct span name;
    enum gguf_type type;
    int dims;
    uint64_t size[GGUF_DIMS_MAX]; /* size[0] is contiguous; unused are 1 */
    const void *data;             /* in the mapping */
    size_t bytes;
};

/* ERR_INPUT "path: at byte N: reason" for a bad file. */
MUST_USE struct gguf *gguf_open(const char *path, struct err *err);
void gguf_close(struct gguf *gguf);

size_t gguf_file_bytes(const struct gguf *gguf);
const char *gguf_path(const struct gguf *gguf);
const char *gguf_type_name(enum gguf_type type);

size_t gguf_tensor_count(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index);
/* NULL when there is none of that name. */
const struct gguf_tensor *gguf_tensor(const struct gguf *gguf,
                                      const char *name);

/* The tensor's pages need not stay resident: it was copied elsewhere. It may
 * still be read; that fetches them from the file again. */
void gguf_tensor_forget(const struct gguf_tensor *t);
/* The same of the whole file, its keys too. */
void gguf_forget(const struct gguf *gguf);

/* Values by key. False when the key is absent or of another kind; `out` is
 * then untouched. Integer kinds of any width convert when the value fits. */
bool gguf_u32(const struct gguf *gguf, const char *key, uint32_t *out);
bool gguf_f32(const struct gguf *gguf, const char *key, float *out);
bool gguf_bool(const struct gguf *gguf, const char *key, bool *out);
bool gguf_string(const struct gguf *gguf, const char *key, struct span *out);

/* Arrays. Count is 0 when absent or when the elements are of another kind. */
size_t gguf_array_count(const struct gguf *gguf, const char *key);
/* String element; elements are indexed once at open, so this is O(1). */
bool gguf_array_string(const struct gguf *gguf, const char *key, size_t index,
                       struct span *out);
/* u32/i32/f32 arrays, copied element-wise into out[0..count). */
bool gguf_array_i32(const struct gguf *gguf, const char *key, int32_t *out,
                    size_t count);
bool gguf_array_f32(const struct gguf *gguf, const char *key, float *out,
                    size_t count);

/* Walk all keys, for `corral model info`: prints "key = value" (long values
 * shortened) of entry `index`, false past the end. */
bool gguf_describe(const struct gguf *gguf, size_t index, struct bytes *out);

#endif
