/* response_head.h - the head of a response, up to the headers that tell its
 * body's length. */
#ifndef CORRAL_PROXY_RESPONSE_HEAD_H
#define CORRAL_PROXY_RESPONSE_HEAD_H

#include "proxy/http.h"

/* All borrowed. */
struct response_head {
    const struct http_request *request; /* that is answered */
    const char *const *origins;         /* whose pages may read it; "*": any */
    int origin_count;
    bool keep_alive;
    int status;
    const char *content_type; /* NULL: none */
    const struct http_header *headers;
    int header_count;
    struct span extra; /* whole header lines */
};

void response_head_put(const struct response_head *h, struct bytes *out);

#endif
