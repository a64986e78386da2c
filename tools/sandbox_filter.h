/* sandbox_filter.h - the system calls that a sandboxed process may make. */
#ifndef CORRAL_TOOLS_SANDBOX_FILTER_H
#define CORRAL_TOOLS_SANDBOX_FILTER_H

#include "base/err.h"

/* A file descriptor with the filter as BPF, at its beginning; the caller closes
 * it. -1 with ERR_UNAVAILABLE. */
MUST_USE int sandbox_filter_open(struct err *err);

#endif
