#include "proxy/inflate.h"

#include <assert.h>
#include <stdlib.h>

#define ZLIB_CONST /* what it reads, it does not write */
#include <zlib.h>

enum {
    GZIP_ONLY = 16,       /* added to the window's bits: no other wrapping */
    PIECE_SIZE = 16 << 10 /* unpacked at a time */
};

struct inflate {
    z_stream stream;
    size_t left;  /* packed bytes that may still come */
    bool between; /* no member is open: its end was the last byte seen */
};

struct inflate *inflate_new(size_t bytes_max) {
    struct inflate *i = xalloc(sizeof *i);

    i->left = bytes_max;
    /* Fails for want of memory only, of which it takes 40 KB. */
    if (inflateInit2(&i->stream, MAX_WBITS + GZIP_ONLY) != Z_OK) abort();
    return i;
}

void inflate_free(struct inflate *i) {
    if (!i) return;
    (void)inflateEnd(&i->stream);
    free(i);
}

/* As much as one piece holds; how many bytes came out is *size. */
static bool unpack(struct inflate *i, unsigned char piece[PIECE_SIZE],
                   size_t *size, struct err *err) {
    int rc;

    i->stream.next_out = piece;
    i->stream.avail_out = PIECE_SIZE;
    rc = inflate(&i->stream, Z_NO_FLUSH);
    *size = PIECE_SIZE - i->stream.avail_out;
    if (rc != Z_BUF_ERROR) /* which says that there was nothing to do */
        i->between = rc == Z_STREAM_END;
    if (rc == Z_STREAM_END) /* another member may follow */
        return inflateReset(&i->stream) == Z_OK ||
               err_set(err, ERR_INTERNAL, "gzip: cannot begin again");
    return rc == Z_OK || rc == Z_BUF_ERROR ||
           err_set(err, ERR_INPUT, "the body is not gzip: %s",
                   i->stream.msg ? i->stream.msg : "it cannot be unpacked");
}

bool inflate_push(struct inflate *i, struct span in, struct bytes *out,
                  struct err *err) {
    unsigned char piece[PIECE_SIZE];
    size_t size = PIECE_SIZE;

    /* One read of a socket, far below what zlib's own counter holds. */
    assert(in.size <= UINT32_MAX);
    if (in.size > i->left)
        return err_set(err, ERR_LIMIT, "the packed body is too large");
    i->left -= in.size;
    i->stream.next_in = (const Bytef *)in.at;
    i->stream.avail_in = (uInt)in.size;
    /* A full piece may have left more behind, in zlib's own window. */
    while (i->stream.avail_in || size == PIECE_SIZE) {
        if (!unpack(i, piece, &size, err)) return false;
        if (!bytes_append(out, piece, size, NULL))
            return err_set(err, ERR_LIMIT, "the unpacked body is too large");
    }
    return true;
}

bool inflate_end(const struct inflate *i, struct err *err) {
    return i->between ||
           err_set(err, ERR_INPUT, "the gzip body ends before its end");
}
