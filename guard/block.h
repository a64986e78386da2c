/* block.h - 64 bytes of a text at one look: which of them belong to a class,
 * as the bits of a number, the first byte's bit the lowest. It is how long
 * texts are searched for the few places that need a closer look. */
#ifndef CORRAL_GUARD_BLOCK_H
#define CORRAL_GUARD_BLOCK_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512BW__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/bytes.h"

enum { BLOCK_SIZE = 64 };

#if defined(__AVX512BW__)

struct block {
    __m512i all;
};

static inline struct block block_at(const char *at) {
    return (struct block){_mm512_loadu_si512(at)};
}

/* With the sixth bit set: capitals of ASCII become small letters, and of the
 * signs some become others. */
static inline struct block block_lower(struct block b) {
    return (struct block){_mm512_or_si512(b.all, _mm512_set1_epi8(0x20))};
}

static inline uint64_t block_is(struct block b, char c) {
    return _mm512_cmpeq_epi8_mask(b.all, _mm512_set1_epi8(c));
}

/* From `first` to `last`, as unsigned bytes. */
static inline uint64_t block_in(struct block b, unsigned char first,
                                unsigned char last) {
    const __m512i by = _mm512_sub_epi8(b.all, _mm512_set1_epi8((char)first));

    return _mm512_cmple_epu8_mask(by, _mm512_set1_epi8((char)(last - first)));
}

/* As ascii_lower() does. */
static inline void block_put_small(struct block b, char *out) {
    const __m512i bit = _mm512_set1_epi8(0x20);

    _mm512_storeu_si512(
        out, _mm512_mask_add_epi8(b.all, block_in(b, 'A', 'Z'), b.all, bit));
}

#elif defined(__SSE2__)

struct block {
    __m128i part[4];
};

static inline struct block block_at(const char *at) {
    struct block b;

    for (int i = 0; i < 4; i++)
        b.part[i] = _mm_loadu_si128((const __m128i *)(const void *)at + i);
    return b;
}

/* With the sixth bit set: capitals of ASCII become small letters, and of the
 * signs some become others. */
static inline struct block block_lower(struct block b) {
    for (int i = 0; i < 4; i++)
        b.part[i] = _mm_or_si128(b.part[i], _mm_set1_epi8(0x20));
    return b;
}

/* As ascii_lower() does. */
static inline void block_put_small(struct block b, char *out) {
    const __m128i from = _mm_set1_epi8('A'), most = _mm_set1_epi8('Z' - 'A');
    const __m128i bit = _mm_set1_epi8(0x20);

    for (int i = 0; i < 4; i++) {
        const __m128i by = _mm_sub_epi8(b.part[i], from);
        const __m128i capital = _mm_cmpeq_epi8(_mm_min_epu8(by, most), by);

        _mm_storeu_si128((__m128i *)(void *)out + i,
                         _mm_or_si128(b.part[i], _mm_and_si128(capital, bit)));
    }
}

static inline uint64_t block_is(struct block b, char c) {
    const __m128i same = _mm_set1_epi8(c);
    uint64_t bits = 0;

    for (int i = 3; i >= 0; i--)
        bits = bits << 16 |
               (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(b.part[i], same));
    return bits;
}

/* From `first` to `last`, as unsigned bytes. */
static inline uint64_t block_in(struct block b, unsigned char first,
                                unsigned char last) {
    const __m128i from = _mm_set1_epi8((char)first);
    const __m128i most = _mm_set1_epi8((char)(last - first));
    uint64_t bits = 0;

    for (int i = 3; i >= 0; i--) {
        const __m128i by = _mm_sub_epi8(b.part[i], from);

        bits = bits << 16 | (unsigned)_mm_movemask_epi8(
                                _mm_cmpeq_epi8(_mm_min_epu8(by, most), by));
    }
    return bits;
}

#else

struct block {
    unsigned char at[BLOCK_SIZE];
};

static inline struct block block_at(const char *at) {
    struct block b;

    memcpy(b.at, at, BLOCK_SIZE);
    return b;
}

static inline struct block block_lower(struct block b) {
    for (int i = 0; i < BLOCK_SIZE; i++) b.at[i] |= 0x20;
    return b;
}

static inline void block_put_small(struct block b, char *out) {
    for (int i = 0; i < BLOCK_SIZE; i++) out[i] = ascii_lower((char)b.at[i]);
}

static inline uint64_t block_in(struct block b, unsigned char first,
                                unsigned char last) {
    uint64_t bits = 0;

    for (int i = 0; i < BLOCK_SIZE; i++)
        bits |= (uint64_t)(b.at[i] >= first && b.at[i] <= last) << i;
    return bits;
}

static inline uint64_t block_is(struct block b, char c) {
    return block_in(b, (unsigned char)c, (unsigned char)c);
}

#endif

static inline uint64_t block_beyond_ascii(struct block b) {
    return block_in(b, 0x80, 0xFF);
}

/* The bits below bit `count`, which is below 64. */
static inline uint64_t block_first(int count) {
    return ((uint64_t)1 << count) - 1;
}

/* Of bits that are not all zero: the lowest, and the highest. */
static inline int block_lowest(uint64_t bits) {
    return __builtin_ctzll(bits);
}

static inline int block_highest(uint64_t bits) {
    return 63 - __builtin_clzll(bits);
}

/* Where the run of `through` ends that begins right behind each of `from`. */
static inline uint64_t block_behind(uint64_t from, uint64_t through) {
    return (through + (from << 1)) & ~through;
}

#endif
