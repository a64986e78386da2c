/* pretokenizer.h - cuts text into the pieces that byte pairs never cross.
 * Hand-written scanners, equal to these patterns and linear in the text:
 *
 *   gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
 *              ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   smollm     every \p{N} alone, then gpt-2 on what lies between
 *   llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|
 *              \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 *              \s+(?!\S)|\s+
 *
 * A byte that belongs to no valid UTF-8 sequence is a character of its own
 * that is neither letter, number nor space. No state: any thread. */
#ifndef CORRAL_ENGINE_PRETOKENIZER_H
#define CORRAL_ENGINE_PRETOKENIZER_H

#include "base/bytes.h"

enum pretokenizer {
    PRETOKENIZER_GPT_2,
    PRETOKENIZER_SMOLLM,
    PRETOKENIZER_LLAMA_BPE
};

/* By the name in a GGUF; false for a name that is not known. */
MUST_USE bool pretokenizer_named(struct span name, enum pretokenizer *out);

/* Where the piece that begins at `from` (below text.size) ends: one past. Of
 * the text no more than up to `seen` was looked at, at most three times. */
size_t pretokenizer_end(enum pretokenizer kind, struct span text, size_t from,
                        size_t *seen);

#endif
