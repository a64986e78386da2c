/* url_host.h - whom a URL would reach. Strict, since what is judged here is
 * fetched elsewhere: a URL that two readers could take for two hosts has
 * none. */
#ifndef CORRAL_GUARD_URL_HOST_H
#define CORRAL_GUARD_URL_HOST_H

#include "base/bytes.h"

enum { URL_HOST_MAX = 253 };

/* The host of an absolute http or https URL in lower case, without the dot that
 * a full name may end with; an IPv6 address in its brackets. False for all
 * else, and `out` is empty then: another scheme, userinfo, a backslash, blanks
 * or control characters, letters beyond ASCII (a name is xn--... then), escapes
 * in the host, an IPv4 address that is not four plain numbers. */
MUST_USE bool url_host(struct span url, char out[URL_HOST_MAX + 1]);

#endif
