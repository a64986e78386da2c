/* logprobs.h - the engine's reports on tokens whose text is held back, and then
 * told as an llm tells them. Event-loop thread. */
#ifndef CORRAL_AGENT_LOGPROBS_H
#define CORRAL_AGENT_LOGPROBS_H

#include "agent/llm.h"
#include "engine/engine.h"

/* All zero is empty. */
struct logprobs {
    struct token_logprob *rows; /* (count, 1 + rival_count) as in a job_event */
    size_t count, capacity;
    int rival_count;
};

/* Those of a JOB_TEXT, if it has any. */
void logprobs_keep(struct logprobs *l, const struct job_event *event);
/* All of them at once to on_logprobs(), if there are any; they stay. */
void logprobs_tell(const struct logprobs *l, const struct engine *engine,
                   const struct llm_events *events);
void logprobs_free(struct logprobs *l);

#endif
