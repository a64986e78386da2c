/* llm.h - a language model, here or elsewhere, behind one face. The turn loop
 * does not know which it drives. Event-loop thread. */
#ifndef CORRAL_AGENT_LLM_H
#define CORRAL_AGENT_LLM_H

#include "agent/chat.h"
#include "agent/embed.h"
#include "agent/weigh.h"

struct llm;
struct llm_call; /* one generation under way */

enum llm_finish { LLM_STOP, LLM_LENGTH, LLM_TOOL_CALLS, LLM_FILTERED };

struct llm_usage {
    int prompt_tokens;
    int cached_tokens;
    int completion_tokens;
    int reasoning_tokens; /* of those, what the client does not see */
    uint64_t prompt_ns;   /* up to the first text; 0: not known */
    uint64_t completion_ns;
};

struct llm_end {
    bool ok;
    enum llm_finish finish;
    struct llm_usage usage;
    struct span stop; /* LLM_STOP: the request's stop string, if one ended it */
    struct err err;   /* when not ok */
};

/* What a server says of its own answer. Not judged: the texts are a few plain
 * letters, digits and signs, and may be empty. */
struct llm_origin {
    struct span id;
    struct span fingerprint;
    int64_t created; /* seconds since 1970; 0: not said */
};

enum { LLM_ORIGIN_BYTES_MAX = 128 }; /* of each text */

/* One token of an answer. */
struct llm_logprob {
    struct span text; /* the bytes it adds, perhaps a part of a character */
    struct span name; /* of one without a text, such as "<|im_end|>" */
    float logprob;    /* natural, from LOGPROB_LEAST to 0 */
    const struct llm_logprob *top; /* rivals, the likeliest first */
    int top_count;
};

/* Borrowed arguments live during the callback. After `on_end` nothing more
 * comes. Callbacks may cancel the call. */
struct llm_events {
    /* What the model was given, in its own tokens, before any text: lets a
     * guard ride on the same KV cache. Only the engine calls it. */
    void (*on_prompt)(void *user, const int *tokens, int token_count);
    /* Before any text, from a server that says so; perhaps never. */
    void (*on_origin)(void *user, const struct llm_origin *origin);
    /* Answer text. `tokens` are its own when the engine wrote it, else NULL. */
    void (*on_text)(void *user, struct span text, const int *tokens,
                    int token_count);
    /* When the request asks for it: the tokens that spell the texts, told
     * before the text that holds their last byte. Text may come without. */
    void (*on_logprobs)(void *user, const struct llm_logprob *list, int count);
    /* One whole tool call, its arguments being a JSON object. */
    void (*on_tool_call)(void *user, const struct chat_tool_call *call);
    void (*on_end)(void *user, const struct llm_end *end);
    void *user;
};

/* Texts that another server makes vectors of, all at once. */
struct llm_vectors;

struct llm_vectors_request {
    struct span model; /* as the client calls it */
    const struct span *texts;
    int count;
    int dimensions; /* 0: the model's own */
    /* A traceparent for whoever runs the model elsewhere; empty: none. */
    struct span trace;
};

/* (count, size) numbers, borrowed during the callback; NULL with `err`. Comes
 * once, never from inside the call that began it. */
typedef void llm_vectors_done(void *user, const float *vectors, int size,
                              int prompt_tokens, const struct err *err);

/* What is known of a model that runs here. */
struct llm_facts {
    int64_t parameters;
    int64_t file_bytes;
    const char *quantization; /* of most of its weights: "Q4_1" */
    int context_tokens;       /* that it reads and writes in all */
};

struct llm {
    const char *name; /* for clients; NULL: as the client calls it */
    const struct llm_facts *facts; /* NULL: it runs elsewhere */
    /* Its template has a fence for results that no text in them can end, and a
     * second one would only confuse it: see fence.h. */
    bool fences;
    /* Begin. The request is borrowed until `on_end` or cancel. No callback
     * runs inside. NULL with `err` when it cannot begin. */
    struct llm_call *(*start)(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err);
    /* No callback after this. */
    void (*cancel)(struct llm *llm, struct llm_call *call);
    /* How many tokens the prompt of a request has, by the model's own
     * tokenizer. NULL where that is not known here. */
    bool (*count)(struct llm *llm, const struct chat_request *r, int *out,
                  struct err *err);
    /* A text as a vector (embed.h), to be given up by embed_cancel(). NULL
     * where it is not done. */
    struct embed *(*embed)(struct llm *llm, struct span text, uint64_t client,
                           embed_done *done, void *user, struct err *err);
    /* The same of a model elsewhere, NULL where there is embed(). The request
     * is copied. No callback after the second. */
    struct llm_vectors *(*vectors)(struct llm *llm,
                                   const struct llm_vectors_request *r,
                                   llm_vectors_done *done, void *user,
                                   struct err *err);
    void (*vectors_cancel)(struct llm *llm, struct llm_vectors *v);
    /* How likely each of a few answers to a request is (weigh.h), to be given
     * up by weigh_cancel(). NULL where it is not done. */
    struct weigh *(*weigh)(struct llm *llm, const struct chat_request *r,
                           const struct span *answers, int count,
                           uint64_t client, weigh_done *done, void *user,
                           struct err *err);
    /* Take no more from whoever writes until told to go on: the reader is
     * slow. What is here already may still come. NULL: it cannot. */
    void (*throttle)(struct llm *llm, struct llm_call *call, bool on);
    /* It may be asked while the classifier still reads the question: no rule
     * forbids it, and the answer will wait. */
    bool early;
    int context_tokens; /* prompt and answer together; 0: not known here */
};

struct engine;

/* The engine as an llm. Chooses the template from the model's own (ChatML,
 * Llama 2 or Llama 3); ERR_UNSUPPORTED for others. The engine must outlive it.
 */
MUST_USE struct llm *llm_engine_open(struct engine *engine, const char *name,
                                     struct err *err);
/* The model's own adapter for tool calls (engine_adapter_add()): requests that
 * show tools run under it from now on. */
void llm_engine_teach(struct llm *llm, int adapter);
/* Have a Llama 3 shown its tools in another form than its file's: see
 * template_tool_prompt(). Before the first request. */
MUST_USE bool llm_engine_tool_prompt(struct llm *llm, const char *name,
                                     struct err *err);
void llm_engine_close(struct llm *llm);

#endif
