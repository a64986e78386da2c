#include "engine/gguf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

/* What the engine takes for granted of a processor. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(size_t) == 8,
               "GGUF is read in place: it is little-endian, of 64-bit sizes");

/* Far above any real model, far below what could hurt. */
enum {
    KEYS_MAX = 4096,
    TENSORS_MAX = 65536,
    KEY_BYTES_MAX = 65535,
    TENSOR_NAME_MAX = 63, /* ggml keeps names in 64 bytes */
    ARRAY_MAX = 1 << 24,
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MAX = 1 << 16,
    DIM_MAX = 1 << 30,
    HEADER_BYTES = 24
};

/* The file's own numbers. */
enum value_kind {
    KIND_U8,
    KIND_I8,
    KIND_U16,
    KIND_I16,
    KIND_U32,
    KIND_I32,
    KIND_F32,
    KIND_BOOL,
    KIND_STRING,
    KIND_ARRAY,
    KIND_U64,
    KIND_I64,
    KIND_F64,
    KIND_COUNT
};

struct value {
    struct span key;
    enum value_kind kind; /* of the elements, for an array */
    bool array;
    size_t count;            /* 1 for a scalar */
    const uint8_t *at;       /* first element; for strings, their bytes */
    size_t size;             /* of a scalar string */
    const uint8_t **strings; /* array of strings: each one's length field */
};

/* Open addressing; a slot is 1 + index, 0 is empty. */
struct table {
    uint32_t *slots;
    size_t mask;
};

struct gguf {
    char *path;
    const uint8_t *map;
    size_t size;
    struct value *values;
    size_t value_count;
    struct gguf_tensor *tensors;
    size_t tensor_count;
    struct table keys;
    struct table names;
    uint64_t seed; /* random, so that no file can choose its collisions */
};

struct reader {
    struct gguf *gguf;
    size_t at;
    struct err *err;
};

static const struct {
    enum gguf_type type;
    const char *name;
    uint32_t elements;
    uint32_t bytes;
} types[] = {
    {GGUF_F32, "F32", 1, 4},         {GGUF_F16, "F16", 1, 2},
    {GGUF_BF16, "BF16", 1, 2},       {GGUF_I8, "I8", 1, 1},
    {GGUF_Q4_0, "Q4_0", 32, 18},     {GGUF_Q4_1, "Q4_1", 32, 20},
    {GGUF_Q5_0, "Q5_0", 32, 22},     {GGUF_Q5_1, "Q5_1", 32, 24},
    {GGUF_Q8_0, "Q8_0", 32, 34},     {GGUF_Q2_K, "Q2_K", 256, 84},
    {GGUF_Q3_K, "Q3_K", 256, 110},   {GGUF_Q4_K, "Q4_K", 256, 144},
    {GGUF_Q5_K, "Q5_K", 256, 176},   {GGUF_Q6_K, "Q6_K", 256, 210},
    {GGUF_IQ4_NL, "IQ4_NL", 32, 18},
};

enum { TYPE_COUNT = sizeof types / sizeof types[0] };

const char *gguf_type_name(enum gguf_type type) {
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (types[i].type == type) return types[i].name;
    return "unknown";
}

static bool bad(struct reader *r, const char *reason) {
    return err_set(r->err, ERR_INPUT, "%s: at byte %zu: %s", r->gguf->path,
                   r->at, reason);
}

static bool read_bytes(struct reader *r, void *out, size_t size) {
    if (size > r->gguf->size - r->at) return bad(r, "the file ends too early");
    memcpy(out, r->gguf->map + r->at, size);
    r->at += size;
    return true;
}

static bool read_u32(struct reader *r, uint32_t *out) {
    return read_bytes(r, out, sizeof *out);
}

static bool read_u64(struct reader *r, uint64_t *out) {
    return read_bytes(r, out, sizeof *out);
}

/* A string stays in the mapping; `max` is for its kind of string. */
static bool read_string(struct reader *r, struct span *out, size_t max) {
    uint64_t size = 0;

    if (!read_u64(r, &size)) return false;
    if (size > r->gguf->size - r->at)
        return bad(r, "a string is longer than the file");
    if (size > max) return bad(r, "a string is too long");
    out->at = (const char *)r->gguf->map + r->at;
    out->size = (size_t)size;
    r->at += (size_t)size;
    return true;
}

static size_t kind_size(enum value_kind kind) {
    static const uint8_t size[KIND_COUNT] = {
        [KIND_U8] = 1,  [KIND_I8] = 1,  [KIND_U16] = 2, [KIND_I16] = 2,
        [KIND_U32] = 4, [KIND_I32] = 4, [KIND_F32] = 4, [KIND_BOOL] = 1,
        [KIND_U64] = 8, [KIND_I64] = 8, [KIND_F64] = 8,
    };

    return size[kind];
}

/* True when it was already there; then nothing changes. */
static bool table_put(struct table *t, uint64_t hash, size_t index,
                      bool (*same)(const struct gguf *, size_t, struct span),
                      const struct gguf *gguf, struct span name) {
    size_t slot = (size_t)hash & t->mask;

    for (; t->slots[slot]; slot = (slot + 1) & t->mask)
        if (same(gguf, t->slots[slot] - 1, name)) return true;
    t->slots[slot] = (uint32_t)index + 1;
    return false;
}

static size_t table_find(const struct table *t, uint64_t hash,
                         bool (*same)(const struct gguf *, size_t, struct span),
                         const struct gguf *gguf, struct span name) {
    if (!t->slots) return SIZE_MAX;
    for (size_t slot = (size_t)hash & t->mask; t->slots[slot];
         slot = (slot + 1) & t->mask)
        if (same(gguf, t->slots[slot] - 1, name)) return t->slots[slot] - 1;
    return SIZE_MAX;
}

static void table_init(struct table *t, size_t count) {
    size_t size = 16;

    while (size < 2 * count) size *= 2;
    t->slots = xalloc_array(size, sizeof *t->slots);
    t->mask = size - 1;
}

static bool same_key(const struct gguf *gguf, size_t index, struct span name) {
    return span_equal(gguf->values[index].key, name);
}

static bool same_name(const struct gguf *gguf, size_t index, struct span name) {
    return span_equal(gguf->tensors[index].name, name);
}

static bool read_string_array(struct reader *r, struct value *v) {
    struct span s;

    /* Each string takes at least its length field, so the index cannot be
     * larger than the file. */
    if (v->count > (r->gguf->size - r->at) / sizeof(uint64_t))
        return bad(r, "an array is longer than the file");
    v->strings = xalloc_array(v->count + 1, sizeof *v->strings);
    for (size_t i = 0; i < v->count; i++) {
        v->strings[i] = r->gguf->map + r->at;
        if (!read_string(r, &s, SIZE_MAX)) return false;
    }
    return true;
}

static bool bools_valid(const uint8_t *at, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (at[i] > 1) return false;
    return true;
}

static bool read_elements(struct reader *r, struct value *v) {
    size_t size = kind_size(v->kind);

    v->at = r->gguf->map + r->at;
    if (v->count > (r->gguf->size - r->at) / size)
        return bad(r, "a value is longer than the file");
    if (v->kind == KIND_BOOL && !bools_valid(v->at, v->count))
        return bad(r, "a bool is neither 0 nor 1");
    r->at += v->count * size;
    return true;
}

static bool read_kind(struct reader *r, enum value_kind *out) {
    uint32_t kind = 0;

    if (!read_u32(r, &kind)) return false;
    if (kind >= KIND_COUNT) return bad(r, "unknown kind of value");
    *out = (enum value_kind)kind;
    return true;
}

static bool read_value(struct reader *r, struct value *v) {
    uint64_t count = 0;
    struct span s;

    if (!read_string(r, &v->key, KEY_BYTES_MAX)) return false;
    if (!v->key.size) return bad(r, "an empty key");
    if (memchr(v->key.at, 0, v->key.size)) return bad(r, "a NUL in a key");
    if (!read_kind(r, &v->kind)) return false;
    v->count = 1;
    if (v->kind == KIND_ARRAY) {
        v->array = true;
        if (!read_kind(r, &v->kind)) return false;
        if (v->kind == KIND_ARRAY) return bad(r, "an array of arrays");
        if (!read_u64(r, &count)) return false;
        if (count > ARRAY_MAX) return bad(r, "an array is too long");
        v->count = (size_t)count;
        if (v->kind == KIND_STRING) return read_string_array(r, v);
    } else if (v->kind == KIND_STRING) {
        if (!read_string(r, &s, SIZE_MAX)) return false;
        v->at = (const uint8_t *)s.at;
        v->size = s.size;
        return true;
    }
    return read_elements(r, v);
}

static bool read_values(struct reader *r, uint64_t count) {
    struct gguf *g = r->gguf;

    g->values = xalloc_array((size_t)count + 1, sizeof *g->values);
    table_init(&g->keys, (size_t)count);
    for (size_t i = 0; i < count; i++) {
        struct value *v = &g->values[i];

        g->value_count = i + 1; /* so that close frees a half-read array */
        if (!read_value(r, v)) return false;
        if (table_put(&g->keys, hash_fnv1a(g->seed, v->key), i, same_key, g,
                      v->key))
            return bad(r, "the same key twice");
    }
    return true;
}

static bool tensor_bytes(struct reader *r, struct gguf_tensor *t,
                         uint32_t type) {
    uint64_t count = 1;
    size_t i = 0;

    while (i < TYPE_COUNT && (uint32_t)types[i].type != type) i++;
    if (i == TYPE_COUNT) return bad(r, "a tensor of an unknown type");
    t->type = types[i].type;
    if (t->size[0] % types[i].elements)
        return bad(r, "a tensor's rows are not whole blocks");
    for (int d = 0; d < t->dims; d++)
        if (__builtin_mul_overflow(count, t->size[d], &count))
            return bad(r, "a tensor is too big");
    if (__builtin_mul_overflow(count / types[i].elements, types[i].bytes,
                               &count) ||
        count > r->gguf->size)
        return bad(r, "a tensor is longer than the file");
    t->bytes = (size_t)count;
    return true;
}

/* `offset` is left as read: the data section's place is not yet known. */
static bool read_tensor(struct reader *r, struct gguf_tensor *t,
                        uint64_t *offset) {
    uint32_t dims = 0;
    uint32_t type = 0;

    if (!read_string(r, &t->name, TENSOR_NAME_MAX)) return false;
    if (!t->name.size) return bad(r, "a tensor without a name");
    if (memchr(t->name.at, 0, t->name.size))
        return bad(r, "a NUL in a tensor's name");
    if (!read_u32(r, &dims)) return false;
    if (!dims || dims > GGUF_DIMS_MAX)
        return bad(r, "a tensor must have 1 to 4 dimensions");
    t->dims = (int)dims;
    for (size_t d = 0; d < GGUF_DIMS_MAX; d++) {
        t->size[d] = 1;
        if (d >= dims) continue;
        if (!read_u64(r, &t->size[d])) return false;
        if (!t->size[d] || t->size[d] > DIM_MAX)
            return bad(r, "a tensor's dimension is zero or too big");
    }
    if (!read_u32(r, &type)) return false;
    if (!tensor_bytes(r, t, type)) return false;
    return read_u64(r, offset);
}

static bool read_tensors(struct reader *r, uint64_t count, uint64_t *offsets) {
    struct gguf *g = r->gguf;

    g->tensors = xalloc_array((size_t)count + 1, sizeof *g->tensors);
    table_init(&g->names, (size_t)count);
    for (size_t i = 0; i < count; i++) {
        struct gguf_tensor *t = &g->tensors[i];

        if (!read_tensor(r, t, &offsets[i])) return false;
        g->tensor_count = i + 1;
        if (table_put(&g->names, hash_fnv1a(g->seed, t->name), i, same_name, g,
                      t->name))
            return bad(r, "the same tensor twice");
    }
    return true;
}

static bool read_alignment(struct reader *r, size_t *out) {
    size_t i = table_find(
        &r->gguf->keys, hash_fnv1a(r->gguf->seed, span_of("general.alignment")),
        same_key, r->gguf, span_of("general.alignment"));
    uint32_t value = 0;

    *out = ALIGNMENT_DEFAULT;
    if (i == SIZE_MAX) return true;
    if (r->gguf->values[i].array || r->gguf->values[i].kind != KIND_U32)
        return bad(r, "general.alignment is not a u32");
    memcpy(&value, r->gguf->values[i].at, sizeof value);
    if (!value || (value & (value - 1)) || value > ALIGNMENT_MAX)
        return bad(r, "general.alignment is not a power of two up to 65536");
    *out = value;
    return true;
}

static bool align_up(size_t *at, size_t alignment) {
    size_t pad = (alignment - *at % alignment) % alignment;

    return !__builtin_add_overflow(*at, pad, at);
}

/* Tensors follow one another in file order, each padded to the alignment: no
 * gap to hide bytes in, no overlap. */
static bool place_tensors(struct reader *r, const uint64_t *offsets,
                          size_t alignment) {
    struct gguf *g = r->gguf;
    size_t start = r->at;
    size_t next = 0;

    if (!g->tensor_count) return true;
    if (!align_up(&start, alignment) || start > g->size)
        return bad(r, "the tensor data is missing");
    for (size_t i = 0; i < g->tensor_count; i++) {
        struct gguf_tensor *t = &g->tensors[i];

        if (offsets[i] != next)
            return err_set(r->err, ERR_INPUT,
                           "%s: at byte %zu: tensor %.*s is not where the one "
                           "before it ends",
                           g->path, r->at, (int)t->name.size, t->name.at);
        if (next > g->size - start || t->bytes > g->size - start - next)
            return err_set(r->err, ERR_INPUT,
                           "%s: at byte %zu: tensor %.*s passes the file's "
                           "end",
                           g->path, r->at, (int)t->name.size, t->name.at);
        t->data = g->map + start + next;
        next += t->bytes;
        if (!align_up(&next, alignment)) return bad(r, "a tensor is too big");
    }
    return true;
}

static bool read_file(struct reader *r) {
    uint64_t tensors = 0;
    uint64_t values = 0;
    uint64_t *offsets = NULL;
    uint32_t version = 0;
    size_t alignment = 0;
    char magic[4];
    bool ok = false;

    if (!read_bytes(r, magic, sizeof magic)) return false;
    if (memcmp(magic, "GGUF", sizeof magic)) return bad(r, "not a GGUF file");
    if (!read_u32(r, &version)) return false;
    if (version != 2 && version != 3)
        return bad(r, "a version of GGUF other than 2 and 3");
    if (!read_u64(r, &tensors) || !read_u64(r, &values)) return false;
    if (tensors > TENSORS_MAX) return bad(r, "too many tensors");
    if (values > KEYS_MAX) return bad(r, "too many keys");
    if (!read_values(r, values) || !read_alignment(r, &alignment)) return false;
    offsets = xalloc_array((size_t)tensors + 1, sizeof *offsets);
    ok = read_tensors(r, tensors, offsets) &&
         place_tensors(r, offsets, alignment);
    free(offsets);
    return ok;
}

static bool map_file(struct gguf *g, struct err *err) {
    struct stat st;
    bool ok = false;
    void *map = NULL;
    int fd = open(g->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s",
                       g->path, strerror(errno));
    if (fstat(fd, &st) < 0) {
        err_set(err, ERR_IO, "%s: %s", g->path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_INPUT, "%s: at byte 0: not a regular file", g->path);
        goto out;
    }
    if (st.st_size < HEADER_BYTES) {
        err_set(err, ERR_INPUT, "%s: at byte 0: too short for a GGUF file",
                g->path);
        goto out;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        err_set(err, ERR_IO, "%s: %s", g->path, strerror(errno));
        goto out;
    }
    g->map = map;
    g->size = (size_t)st.st_size;
    ok = true;

out:
    close(fd);
    return ok;
}

struct gguf *gguf_open(const char *path, struct err *err) {
    struct gguf *g = xalloc(sizeof *g);
    struct reader r = {.gguf = g, .err = err};

    g->path = xstrdup(path);
    g->seed = HASH_FNV1A_START ^ hash_random_u64();
    if (!map_file(g, err) || !read_file(&r)) {
        gguf_close(g);
        return NULL;
    }
    return g;
}

void gguf_close(struct gguf *g) {
    void *map;

    if (!g) return;
    for (size_t i = 0; i < g->value_count; i++) free(g->values[i].strings);
    free(g->values);
    free(g->tensors);
    free(g->keys.slots);
    free(g->names.slots);
    memcpy(&map, &g->map, sizeof map); /* munmap() takes no const */
    if (map) munmap(map, g->size);
    free(g->path);
    free(g);
}

/* Whole pages only: the neighbours' are not ours to judge. */
static void forget(const void *data, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)data + bytes) / page * page;

    if (from < end) (void)madvise((void *)from, end - from, MADV_DONTNEED);
}

void gguf_tensor_forget(const struct gguf_tensor *t) {
    forget(t->data, t->bytes);
}

void gguf_forget(const struct gguf *gguf) {
    forget(gguf->map, gguf->size);
}

size_t gguf_file_bytes(const struct gguf *gguf) {
    return gguf->size;
}

const char *gguf_path(const struct gguf *gguf) {
    return gguf->path;
}

size_t gguf_tensor_count(const struct gguf *gguf) {
    return gguf->tensor_count;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf,
                                         size_t index) {
    return index < gguf->tensor_count ? &gguf->tensors[index] : NULL;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *gguf,
                                      const char *name) {
    struct span s = span_of(name);
    size_t i =
        table_find(&gguf->names, hash_fnv1a(gguf->seed, s), same_name, gguf, s);

    return i == SIZE_MAX ? NULL : &gguf->tensors[i];
}

static const struct value *find(const struct gguf *gguf, const char *key,
                                bool array) {
    struct span s = span_of(key);
    size_t i =
        table_find(&gguf->keys, hash_fnv1a(gguf->seed, s), same_key, gguf, s);

    if (i == SIZE_MAX || gguf->values[i].array != array) return NULL;
    return &gguf->values[i];
}

/* Element `i` as a signed number; false when it is no integer or does not
 * fit. A u64 above INT64_MAX fits nothing that anyone here asks for. */
static bool integer_at(const struct value *v, size_t i, int64_t *out) {
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } n = {0};
    size_t size = kind_size(v->kind);

    if (!size) return false;
    memcpy(&n, v->at + i * size, size);
    switch (v->kind) {
    case KIND_U8:
        *out = n.u8;
        return true;
    case KIND_I8:
        *out = n.i8;
        return true;
    case KIND_U16:
        *out = n.u16;
        return true;
    case KIND_I16:
        *out = n.i16;
        return true;
    case KIND_U32:
        *out = n.u32;
        return true;
    case KIND_I32:
        *out = n.i32;
        return true;
    case KIND_I64:
        *out = n.i64;
        return true;
    case KIND_U64:
        if (n.u64 > INT64_MAX) return false;
        *out = (int64_t)n.u64;
        return true;
    default:
        return false;
    }
}

static bool float_at(const struct value *v, size_t i, float *out) {
    double wide;

    if (v->kind == KIND_F32) {
        memcpy(out, v->at + i * sizeof *out, sizeof *out);
        return true;
    }
    if (v->kind != KIND_F64) return false;
    memcpy(&wide, v->at + i * sizeof wide, sizeof wide);
    *out = (float)wide;
    return true;
}

static struct span string_at(const struct value *v, size_t i) {
    struct span s = {(const char *)v->at, v->size};
    uint64_t size;

    if (!v->array) return s;
    memcpy(&size, v->strings[i], sizeof size);
    s.at = (const char *)v->strings[i] + sizeof size;
    s.size = (size_t)size;
    return s;
}

bool gguf_u32(const struct gguf *gguf, const char *key, uint32_t *out) {
    const struct value *v = find(gguf, key, false);
    int64_t n = 0;

    if (!v || !integer_at(v, 0, &n) || n < 0 || n > UINT32_MAX) return false;
    *out = (uint32_t)n;
    return true;
}

bool gguf_f32(const struct gguf *gguf, const char *key, float *out) {
    const struct value *v = find(gguf, key, false);

    return v && float_at(v, 0, out);
}

bool gguf_bool(const struct gguf *gguf, const char *key, bool *out) {
    const struct value *v = find(gguf, key, false);

    if (!v || v->kind != KIND_BOOL) return false;
    *out = *v->at != 0;
    return true;
}

bool gguf_string(const struct gguf *gguf, const char *key, struct span *out) {
    const struct value *v = find(gguf, key, false);

    if (!v || v->kind != KIND_STRING) return false;
    *out = string_at(v, 0);
    return true;
}

size_t gguf_array_count(const struct gguf *gguf, const char *key) {
    const struct value *v = find(gguf, key, true);

    return v ? v->count : 0;
}

bool gguf_array_string(const struct gguf *gguf, const char *key, size_t index,
                       struct span *out) {
    const struct value *v = find(gguf, key, true);

    if (!v || v->kind != KIND_STRING || index >= v->count) return false;
    *out = string_at(v, index);
    return true;
}

bool gguf_array_i32(const struct gguf *gguf, const char *key, int32_t *out,
                    size_t count) {
    const struct value *v = find(gguf, key, true);
    int64_t n = 0;

    if (!v || count > v->count) return false;
    for (size_t i = 0; i < count; i++)
        if (!integer_at(v, i, &n) || n < INT32_MIN || n > INT32_MAX)
            return false;
    for (size_t i = 0; i < count; i++) {
        (void)integer_at(v, i, &n);
        out[i] = (int32_t)n;
    }
    return true;
}

bool gguf_array_f32(const struct gguf *gguf, const char *key, float *out,
                    size_t count) {
    const struct value *v = find(gguf, key, true);

    if (!v || count > v->count) return false;
    if (v->kind != KIND_F32 && v->kind != KIND_F64) return false;
    for (size_t i = 0; i < count; i++) (void)float_at(v, i, &out[i]);
    return true;
}

enum { SHOWN_BYTES = 80, SHOWN_ELEMENTS = 8 };

/* Text from the file goes to a terminal: control bytes are shown as dots. */
static void describe_text(struct bytes *out, struct span s) {
    bool cut = s.size > SHOWN_BYTES;

    bytes_puts(out, "\"");
    for (size_t i = 0; i < (cut ? SHOWN_BYTES : s.size); i++) {
        unsigned char c = (unsigned char)s.at[i];
        char shown = c < 0x20 || c >= 0x7f ? '.' : (char)c;

        bytes_put(out, (struct span){&shown, 1});
    }
    bytes_puts(out, cut ? "...\"" : "\"");
}

static void describe_element(const struct value *v, size_t i,
                             struct bytes *out) {
    char text[40];
    int64_t n = 0;
    float f = 0;

    if (v->kind == KIND_STRING) {
        describe_text(out, string_at(v, i));
        return;
    }
    if (v->kind == KIND_BOOL)
        (void)snprintf(text, sizeof text, "%s", v->at[i] ? "true" : "false");
    else if (float_at(v, i, &f))
        (void)snprintf(text, sizeof text, "%g", (double)f);
    else if (integer_at(v, i, &n))
        (void)snprintf(text, sizeof text, "%lld", (long long)n);
    else
        (void)snprintf(text, sizeof text, "over 2^63");
    bytes_puts(out, text);
}

bool gguf_describe(const struct gguf *gguf, size_t index, struct bytes *out) {
    const struct value *v;
    char text[40];

    if (index >= gguf->value_count) return false;
    v = &gguf->values[index];
    for (size_t i = 0; i < v->key.size && i < SHOWN_BYTES; i++) {
        unsigned char c = (unsigned char)v->key.at[i];
        char shown = c <= 0x20 || c >= 0x7f ? '.' : (char)c;

        bytes_put(out, (struct span){&shown, 1});
    }
    bytes_puts(out, " = ");
    if (!v->array) {
        describe_element(v, 0, out);
        return true;
    }
    (void)snprintf(text, sizeof text, "%zu of [", v->count);
    bytes_puts(out, text);
    for (size_t i = 0; i < v->count && i < SHOWN_ELEMENTS; i++) {
        if (i) bytes_puts(out, ", ");
        describe_element(v, i, out);
    }
    bytes_puts(out, v->count > SHOWN_ELEMENTS ? ", ...]" : "]");
    return true;
}
