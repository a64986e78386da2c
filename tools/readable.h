/* readable.h - what a person would read on a web page, as plain text. Pages
 * are hostile: what a browser would not show is left out, as far as the page
 * itself tells, and everything is bounded. Any thread: nothing is shared. */
#ifndef CORRAL_TOOLS_READABLE_H
#define CORRAL_TOOLS_READABLE_H

#include "base/bytes.h"

enum { READABLE_HTML_BYTES_MAX = 4 << 20, READABLE_HIDING_MAX = 64 };

/* Once, before the threads. */
void readable_init(void);

/* The text of an HTML document, appended to `out`: title first, headings with
 * `#`, list items with `-`, table cells between ` | `, links as text (URL) when
 * they lead to http or https. `url` resolves relative links, `charset` is what
 * the transport said (either may be NULL). Text past out->limit (which is
 * not 0) is cut off and *cut set. ERR_LIMIT past READABLE_HTML_BYTES_MAX,
 * ERR_INPUT for what cannot be parsed at all. Always valid UTF-8. */
MUST_USE bool readable_html(struct bytes *out, struct span html,
                            const char *url, const char *charset, bool *cut,
                            struct err *err);
/* Plain text in `charset` (NULL: UTF-8, else Latin-1), appended as UTF-8 and
 * cut as above. */
MUST_USE bool readable_plain(struct bytes *out, struct span text,
                             const char *charset, bool *cut, struct err *err);

#endif
