#include "engine/unicode_class.h"

static enum unicode_class ascii_class(uint32_t point) {
    if ((point | 0x20) >= 'a' && (point | 0x20) <= 'z') return UNICODE_LETTER;
    if (point >= '0' && point <= '9') return UNICODE_NUMBER;
    if (point == ' ' || (point >= '\t' && point <= '\r')) return UNICODE_SPACE;
    return UNICODE_OTHER;
}

enum unicode_class unicode_class_of(uint32_t point) {
    size_t page = point >> 8, low, high;

    if (point < 0x80) return ascii_class(point);
    if (page >= unicode_page_count) return UNICODE_OTHER;
    low = unicode_pages[page];
    high = unicode_pages[page + 1] + 1u; /* it may begin in this page */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (point < unicode_ranges[middle].first)
            high = middle;
        else if (point > unicode_ranges[middle].last)
            low = middle + 1;
        else
            return unicode_ranges[middle].class;
    }
    return UNICODE_OTHER;
}
