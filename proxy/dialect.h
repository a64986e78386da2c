/* dialect.h - a codec between one wire API and the conversation inside: a body
 * to a chat_request, an answer to bytes. Pure functions over memory: a dialect
 * neither judges nor sends. A new API is one more file with one of these. */
#ifndef CORRAL_PROXY_DIALECT_H
#define CORRAL_PROXY_DIALECT_H

#include "agent/chat.h"
#include "agent/llm.h"
#include "proxy/http_error.h"
#include "proxy/metrics.h"

struct moderated;
struct responses_store;

enum reply_finish {
    REPLY_STOP,
    REPLY_LENGTH,
    REPLY_TOOL_CALLS,
    REPLY_FILTERED /* blocked by the policy */
};

/* What all choices of one answer share. Strings are borrowed from the exchange.
 */
struct reply {
    const cJSON *body; /* the request, for APIs whose answers repeat parts */
    const char *id;
    int64_t created; /* seconds since 1970 */
    /* An upstream's own, that takes its place where the API is the upstream's;
     * empty: there is none. */
    struct span own_id;
    struct span fingerprint;
    struct span model;
    bool include_usage;
    bool legacy_calls;      /* as in chat_request */
    struct llm_usage usage; /* of all choices, for whole() and close() */
    uint64_t total_ns;      /* since the request came, the same */
    const struct moderated *moderated;
};

/* One choice while it is written, borrowed from its owner. */
struct reply_choice {
    int index;
    struct span echo;                   /* the prompt, to go before the text */
    struct span text;                   /* for whole() */
    const struct chat_tool_call *calls; /* the same */
    int call_count;
    enum reply_finish finish; /* for whole() and end(); of a refusal always */
    struct span stop; /* REPLY_STOP: the client's stop string that ended it */
    cJSON *corral; /* the additive object, of a refusal or a limit; or NULL */
    /* By logprob(), for whole(), or for the next text() or end(). */
    struct span logprobs;
    bool refused; /* the text is the policy's, in APIs that tell it apart */
    int events;   /* out so far, in APIs that number them */
    bool begun;   /* the first chunk is out */
    size_t characters; /* out so far, in APIs that count them */
    bool open;         /* a block of text is, in APIs that have blocks */
    int blocks;        /* begun, the same */
    int calls_sent;
};

struct dialect {
    const char *name;
    enum metrics_route route;
    enum http_error_shape errors;
    const char *stream_type; /* the content type of an answer in pieces */
    /* Something to send in a stream, that the client skips, while a person is
     * asked for leave; "": there is no such thing. */
    const char *stream_idle;
    /* ERR_INPUT, ERR_LIMIT or ERR_UNSUPPORTED with err->field. `body` must
     * outlive `out`; everything else is copied into its arena. */
    bool (*parse)(const cJSON *body, struct chat_request *out, struct err *err);
    /* Not NULL: the request asks for the size of its prompt, no more. It is
     * parsed, never run, and the number is written. */
    bool (*count)(int tokens, struct bytes *out, struct err *err);
    /* Append one token's entry to the `logprobs` of a choice. NULL in an API
     * that has none. */
    bool (*logprob)(const struct llm_logprob *entry, struct bytes *out,
                    struct err *err);
    bool moderates; /* it knows the `moderation` parameter */
    /* Texts that were sent in pieces are wanted again at the end. */
    bool keeps_text;
    /* NULL, or around the road in APIs with a memory: before parse(), which it
     * may make fail, and when the answer is whole. `owner` is whose request it
     * is. */
    bool (*prepare)(const struct responses_store *s, const char *owner,
                    cJSON *body, struct err *err);
    void (*keep)(struct responses_store *s, const char *owner,
                 const cJSON *body, const struct reply *reply,
                 const struct reply_choice *choice);
    /* A whole answer, as one JSON text. */
    bool (*whole)(const struct reply *reply,
                  const struct reply_choice *const *choices, int count,
                  struct bytes *out, struct err *err);
    /* The same in pieces; choices may interleave. */
    bool (*text)(const struct reply *reply, struct reply_choice *choice,
                 struct span text, struct bytes *out, struct err *err);
    bool (*call)(const struct reply *reply, struct reply_choice *choice,
                 const struct chat_tool_call *call, struct bytes *out,
                 struct err *err);
    bool (*end)(const struct reply *reply, struct reply_choice *choice,
                struct bytes *out, struct err *err);
    /* What a turn does beside writing: `event` is a JSON object. NULL in an API
     * that has no place for it. */
    bool (*event)(const struct reply *reply, struct span event,
                  struct bytes *out, struct err *err);
    /* After the last choice's end. */
    bool (*close)(const struct reply *reply,
                  const struct reply_choice *const *choices, int count,
                  struct bytes *out, struct err *err);
    /* After the head is out, the only way left to report a failure. */
    bool (*fail)(const struct err *why, struct bytes *out, struct err *err);
};

extern const struct dialect dialect_openai;
extern const struct dialect dialect_anthropic;
extern const struct dialect dialect_anthropic_count;
extern const struct dialect dialect_completions;
extern const struct dialect dialect_responses;
extern const struct dialect dialect_ollama_chat;
extern const struct dialect dialect_ollama_generate;

#endif
