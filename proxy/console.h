/* console.h - the web console: a page, its scripts and its style, which the
 * program carries. They hold no data and no secret, so anybody may read them;
 * what they show is asked of the API, with the key of whoever looks. */
#ifndef CORRAL_PROXY_CONSOLE_H
#define CORRAL_PROXY_CONSOLE_H

#include "proxy/conn.h"

/* Of the folder console/, by cmake/console.cmake. */
struct console_file {
    const char *name; /* "app.js" */
    const unsigned char *bytes;
    size_t size;
    const char *tag; /* an entity tag, with its quotes */
};

extern const struct console_file console_files[];
extern const int console_file_count;

/* Is it one of the console's paths, whether or not there is such a file? */
bool console_path(struct span path);
/* Answer a GET or HEAD: 200, 304 for who has the file already, or 404. The
 * status is what was answered. */
int console_respond(struct conn *c, const struct http_request *r);

#endif
