/* gzip.h - for tests: what a client sends that packs its bodies. */
#ifndef CORRAL_TESTS_UNIT_GZIP_H
#define CORRAL_TESTS_UNIT_GZIP_H

#define ZLIB_CONST
#include <zlib.h>

#include "base/bytes.h"

/* The caller frees it. `level`: 0 (stored) to 9. */
static inline struct bytes gzip_of(struct span s, int level) {
    enum { GZIP_ONLY = 16, MEMORY = 8 };
    struct bytes out = {0};
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, MAX_WBITS + GZIP_ONLY,
                                  MEMORY, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_true(
        bytes_reserve(&out, deflateBound(&z, (uLong)s.size) + 64, NULL));
    z.next_in = (const Bytef *)s.at;
    z.avail_in = (uInt)s.size;
    z.next_out = (Bytef *)out.at;
    z.avail_out = (uInt)out.capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.size = z.total_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return out;
}

#endif
