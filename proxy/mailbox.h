/* mailbox.h - how any thread gives work to the thread of an event loop. Letters
 * are opened there one after the other, in the order in which they were posted.
 */
#ifndef CORRAL_PROXY_MAILBOX_H
#define CORRAL_PROXY_MAILBOX_H

#include <uv.h>

#include "base/bytes.h"

struct mailbox; /* opaque */

/* At the start of the sender's struct, so that one can be cast back. */
struct letter {
    struct letter *next; /* the mailbox's */
    /* On the loop's thread, once. The letter is its own from here on: it frees
     * it, or posts it on. */
    void (*open)(struct letter *letter);
};

/* The loop's thread, or before it runs. Keeps no loop alive. */
struct mailbox *mailbox_open(uv_loop_t *loop);
/* Any thread. The letter is the mailbox's until it is opened. */
void mailbox_post(struct mailbox *m, struct letter *letter);
/* The loop's thread; nobody posts any more. What waits is opened before this
 * returns. Frees itself in the loop. NULL is fine. */
void mailbox_close(struct mailbox *m);

#endif
