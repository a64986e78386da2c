/* unicode_class.h - what the pre-tokenizers must know of a code point: letter
 * (\p{L}), number (\p{N}), white space (\s) or anything else. Read-only. */
#ifndef CORRAL_ENGINE_UNICODE_CLASS_H
#define CORRAL_ENGINE_UNICODE_CLASS_H

#include <stddef.h>
#include <stdint.h>

enum unicode_class {
    UNICODE_OTHER,
    UNICODE_LETTER,
    UNICODE_NUMBER,
    UNICODE_SPACE
};

struct unicode_range {
    uint32_t first;
    uint32_t last;
    enum unicode_class class;
};

/* Sorted, without overlaps: engine/unicode_tables.c. */
extern const struct unicode_range unicode_ranges[];
extern const size_t unicode_range_count;

/* unicode_pages[n]: the first range that ends at n * 256 or after. One more
 * entry than pages; past the last page every point is UNICODE_OTHER. */
extern const uint16_t unicode_pages[];
extern const size_t unicode_page_count;

enum unicode_class unicode_class_of(uint32_t point);

#endif
