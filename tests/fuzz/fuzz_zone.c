/* fuzz_zone.c - a time zone file may hold anything. The first eight bytes are
 * the moment asked for. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct zone_offset offset;
    int64_t at;

    if (size < sizeof at) return 0;
    memcpy(&at, data, sizeof at);
    at %= (int64_t)1 << 40;
    if (zone_from_file(
            (struct span){(const char *)data + sizeof at, size - sizeof at}, at,
            &offset, NULL) &&
        strlen(offset.label) > ZONE_LABEL_MAX)
        abort();
    return 0;
}
