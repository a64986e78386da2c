/* llamaguard.h - a Llama Guard model in an engine of its own, as a peer of the
 * built-in guard. Event-loop thread; answers come from engine_poll().
 *
 * P(unsafe) is that of the answer's first word, between "safe" and "unsafe":
 * one forward pass, and no more of the model's head than those rows. Which
 * categories is asked only where it matters, and can only be answered by a list
 * of codes: those named score P(unsafe), the others 0. A text past the model's
 * context is read in overlapping windows, and the worst of them counts. */
#ifndef CORRAL_GUARD_LLAMAGUARD_H
#define CORRAL_GUARD_LLAMAGUARD_H

#include "engine/engine.h"
#include "guard/peer.h"

struct llamaguard;

/* `engine` must outlive it. ERR_UNSUPPORTED when the model's vocabulary is not
 * that of the format, ERR_LIMIT when its context is too short for the prompt.
 */
MUST_USE struct llamaguard *llamaguard_open(struct engine *engine,
                                            enum llamaguard_format format,
                                            struct err *err);
/* After every job has ended or was cancelled. */
void llamaguard_close(struct llamaguard *g);
/* Borrowed; its thresholds may be changed before it is used. */
struct peer *llamaguard_peer(struct llamaguard *g);

#endif
