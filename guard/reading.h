/* reading.h - a disguised text as a person would read it out, for the
 * classifier: decoded, letters of other alphabets, digits for letters and
 * letters set apart put right. Plain text of any language has no other reading
 * than itself, and costs nothing more. */
#ifndef CORRAL_GUARD_READING_H
#define CORRAL_GUARD_READING_H

#include "base/bytes.h"

/* Written to `out` when it is worth another look; false when the text says
 * what it says. *instead: so much of the text is disguised that as it stands it
 * says nothing. Linear, though one sign may be read as up to 18 letters. A text
 * past the limits of text_fold() has no other reading. */
bool reading_of(struct span text, struct bytes *out, bool *instead);

#endif
