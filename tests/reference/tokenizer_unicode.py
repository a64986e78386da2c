"""Write engine/unicode_tables.c: the ranges of \\p{L}, \\p{N} and \\s, and where
to begin looking among them.

The classes are asked of the `tokenizers` library itself (its regex engine has
Unicode 16.0 tables), because that is the reference our tokens must equal.

    pip install tokenizers==0.23.3
    python tests/reference/tokenizer_unicode.py > engine/unicode_tables.c
"""

from tokenizers import Regex, pre_tokenizers

HEAD = """/* Made by tests/reference/tokenizer_unicode.py (Unicode 16.0). Not edited by
 * hand. Ranges are sorted and do not overlap. */
#include "engine/unicode_class.h"

#define L(first, last) {first, last, UNICODE_LETTER},
#define N(first, last) {first, last, UNICODE_NUMBER},
#define S(first, last) {first, last, UNICODE_SPACE},

/* clang-format off */
const struct unicode_range unicode_ranges[] = {"""

CLASSES = [
    (r"\p{L}", "UNICODE_LETTER"),
    (r"\p{N}", "UNICODE_NUMBER"),
    (r"\s", "UNICODE_SPACE"),
]


def points_of(pattern):
    splitter = pre_tokenizers.Split(Regex(pattern), "removed")
    found = set()
    for base in range(0, 0x110000, 4096):
        block = [c for c in range(base, base + 4096) if not 0xD800 <= c < 0xE000]
        if not block:
            continue
        kept = set()
        for piece, _ in splitter.pre_tokenize_str("".join(map(chr, block))):
            kept.update(map(ord, piece))
        found.update(set(block) - kept)
    return sorted(found)


def ranges_of(points):
    ranges = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return ranges


def print_pages(rows):
    """For each 256 points the first range that ends in or after them."""
    pages = (rows[-1][1] >> 8) + 1
    starts = [next(i for i, row in enumerate(rows) if row[1] >= page << 8)
              for page in range(pages)] + [len(rows) - 1]
    print("/* clang-format off */")
    print("const uint16_t unicode_pages[] = {")
    for at in range(0, len(starts), 15):
        print("    " + " ".join("%d," % start for start in starts[at:at + 15]))
    print("};\n/* clang-format on */\n")
    print("const size_t unicode_page_count =")
    print("    sizeof unicode_pages / sizeof unicode_pages[0] - 1;")


def main():
    rows = []
    for pattern, name in CLASSES:
        rows += [(first, last, name) for first, last in ranges_of(points_of(pattern))]
    rows.sort()
    print(HEAD)
    short = {name: name.split("_")[1][0] for _, name in CLASSES}
    line = ""
    for first, last, name in rows:
        item = "%s(0x%X, 0x%X)" % (short[name], first, last)
        if len(line) + len(item) + 6 > 80:
            print("    " + line.rstrip())
            line = ""
        line += item + " "
    print("    " + line.rstrip())
    print("};\n/* clang-format on */\n")
    print("const size_t unicode_range_count =")
    print("    sizeof unicode_ranges / sizeof unicode_ranges[0];\n")
    print_pages(rows)


main()
