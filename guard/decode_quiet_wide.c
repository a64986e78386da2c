#include "guard/decode_quiet_wide.h"

#include "guard/block.h"

enum { ROW_BYTES = DECODE_ROW * BLOCK_SIZE };

#ifdef __AVX512BW__

/* A lane for each block, with both ciphers' sums in it. */
struct lanes {
    __m512i total, left, highest, most;
};

/* The letters of all blocks behind the last one before them. */
static int put_letters(const char *at, unsigned last, unsigned char *letters) {
    int plain = DECODE_ROW;

    letters[0] = (unsigned char)last;
    for (int i = 0; i < DECODE_ROW; i++) {
        struct block b = block_at(at + i * BLOCK_SIZE), low = block_lower(b);
        uint64_t is = block_in(low, 'a', 'z');

        if (block_beyond_ascii(b) && plain == DECODE_ROW) plain = i;
        _mm512_storeu_si512(
            letters + 1 + i * BLOCK_SIZE,
            _mm512_maskz_sub_epi8(is, low.all, _mm512_set1_epi8('a' - 1)));
    }
    return plain;
}

/* By the letters in the lowest two bytes of each lane, the first one first. */
static inline void add_letters(const struct decode_quiet *q, __m512i pair,
                               struct lanes *l) {
    const __m512i byte = _mm512_set1_epi32(0xFF);
    __m512i last = _mm512_slli_epi32(_mm512_and_si512(pair, byte), 5);
    __m512i next = _mm512_and_si512(_mm512_srli_epi32(pair, 8), byte);
    __m512i gain = _mm512_i32gather_epi32(_mm512_or_si512(last, next),
                                          (const void *)q->gains, 4);

    l->total = _mm512_adds_epi16(l->total, gain);
    l->highest = _mm512_max_epi16(l->highest, l->total);
    l->left = _mm512_max_epi16(_mm512_adds_epi16(l->left, gain),
                               _mm512_setzero_si512());
    l->most = _mm512_max_epi16(l->most, l->left);
}

int decode_quiet_row(const struct decode_quiet *q, const char *at,
                     unsigned last, struct decode_row *row) {
    unsigned char letters[1 + ROW_BYTES + 4];
    const __m512i blocks = _mm512_mullo_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
        _mm512_set1_epi32(BLOCK_SIZE));
    struct lanes l;
    int plain = put_letters(at, last, letters);

    /* Too few to be worth it. */
    if (plain < DECODE_ROW / 4) return 0;
    memset(letters + 1 + ROW_BYTES, 0, 4);
    memset(&l, 0, sizeof l);
    l.highest = _mm512_set1_epi16(INT16_MIN);
    for (int i = 0; i < BLOCK_SIZE; i += 2) {
        __m512i four = _mm512_i32gather_epi32(blocks, letters + i, 1);

        add_letters(q, four, &l);
        add_letters(q, _mm512_srli_epi32(four, 8), &l);
    }
    _mm512_storeu_si512(row->total, l.total);
    _mm512_storeu_si512(row->left, l.left);
    _mm512_storeu_si512(row->highest, l.highest);
    _mm512_storeu_si512(row->most, l.most);
    return plain;
}

#else

int decode_quiet_row(const struct decode_quiet *q, const char *at,
                     unsigned last, struct decode_row *row) {
    (void)q;
    (void)at;
    (void)last;
    (void)row;
    return 0;
}

#endif
