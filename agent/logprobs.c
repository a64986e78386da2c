#include "agent/logprobs.h"

#include <stdlib.h>
#include <string.h>

void logprobs_free(struct logprobs *l) {
    free(l->rows);
    *l = (struct logprobs){0};
}

void logprobs_keep(struct logprobs *l, const struct job_event *event) {
    size_t more = (size_t)event->token_count;
    size_t width = 1 + (size_t)event->rival_count;

    if (!event->logprobs || more == 0) return;
    l->rival_count = event->rival_count;
    if (l->count + more > l->capacity) {
        l->capacity = 2 * l->capacity + more;
        l->rows = xrealloc_array(l->rows, l->capacity * width, sizeof *l->rows);
    }
    memcpy(l->rows + l->count * width, event->logprobs,
           more * width * sizeof *l->rows);
    l->count += more;
}

static struct llm_logprob entry_of(const struct token_logprob *row,
                                   const struct engine *engine) {
    struct llm_logprob entry = {
        .text = tokenizer_piece(engine_tokenizer(engine), row->token),
        .logprob = row->logprob};

    /* A control token spells nothing, but the file has a name for it. */
    if (entry.text.size == 0)
        (void)gguf_array_string(engine_gguf(engine), "tokenizer.ggml.tokens",
                                (size_t)row->token, &entry.name);
    return entry;
}

void logprobs_tell(const struct logprobs *l, const struct engine *engine,
                   const struct llm_events *events) {
    size_t width = 1 + (size_t)l->rival_count;
    struct llm_logprob *list, *tops;

    if (!events->on_logprobs || l->count == 0) return;
    list = xalloc_array(l->count * width, sizeof *list);
    tops = list + l->count;
    for (size_t i = 0; i < l->count; i++) {
        const struct token_logprob *row = l->rows + i * width;
        struct llm_logprob *top = tops + i * (width - 1);

        list[i] = entry_of(row, engine);
        list[i].top = top;
        for (size_t r = 1; r < width && row[r].token >= 0; r++)
            top[list[i].top_count++] = entry_of(&row[r], engine);
    }
    events->on_logprobs(events->user, list, (int)l->count);
    free(list);
}
