/* file_watch.h - tells when one file has changed, been replaced or gone. It
 * asks once a second, which works on every file system. The event loop's. */
#ifndef CORRAL_CLI_FILE_WATCH_H
#define CORRAL_CLI_FILE_WATCH_H

#include <uv.h>

struct file_watch;

/* The watch does not keep the loop running. */
struct file_watch *file_watch_open(uv_loop_t *loop, const char *path,
                                   void (*on_change)(void *user), void *user);
/* Freed once the loop has run its close callback. NULL is fine. */
void file_watch_close(struct file_watch *w);

#endif
