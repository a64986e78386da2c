/* fuzz_decode.c - any bytes decoded: maps that stay inside, layers that never
 * grow, and a place to go on from that changes nothing behind it. */
#include <stdlib.h>

#include "guard/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct decoded d;
    size_t most = size;

    if (!decode_text((struct span){(const char *)data, size}, 0, &d, NULL))
        return 0;
    for (int k = 0; k < d.count; k++) {
        const struct decode_layer *l = &d.layers[k];
        const struct text_view *v = &l->view;

        if (v->text.size > most || v->settled > v->text.size) abort();
        for (size_t i = 0; i < v->text.size; i++)
            if (v->map_from[i] >= v->map_end[i] || v->map_end[i] > size)
                abort();
        for (size_t i = 0; i < l->run_count; i++)
            if (l->runs[i].from >= l->runs[i].end || l->runs[i].end > most ||
                (i && l->runs[i].from < l->runs[i - 1].end))
                abort();
        most = v->text.size;
    }
    decoded_clear(&d);
    return 0;
}
