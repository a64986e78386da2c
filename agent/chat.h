/* chat.h - a conversation to be answered, whatever wire format it came in.
 * Filled by a dialect in a request's arena, afterwards only read, but for the
 * exchange, which puts redacted texts in the place of raw ones. */
#ifndef CORRAL_AGENT_CHAT_H
#define CORRAL_AGENT_CHAT_H

#include "base/arena.h"
#include "base/json.h"
#include "engine/sampler.h"

enum {
    CHAT_MESSAGES_MAX = 2048,
    CHAT_TOOLS_MAX = 128,
    CHAT_TOOL_CALLS_MAX = 128,
    CHAT_STOPS_MAX = 16,
    CHAT_STOP_BYTES_MAX = 256,
    CHAT_CHOICES_MAX = 8,
    CHAT_REPEAT_WINDOW = 64, /* when the client does not say */
    CHAT_OUTPUT_TOKENS_MAX = 1 << 20
};

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };

struct chat_tool_call {
    struct span id;
    struct span name;
    struct span arguments; /* a JSON object, as text */
};

struct chat_message {
    enum chat_role role;
    struct span text; /* parts of text joined by blank lines; may be empty */
    struct span thoughts; /* CHAT_ASSISTANT: judged, and shown to no model */
    struct chat_tool_call *calls; /* CHAT_ASSISTANT */
    int call_count;
    struct span call_id; /* CHAT_TOOL: what it answers */
};

struct chat_tool {
    struct span name;
    struct span description;
    const cJSON *schema; /* borrowed; never NULL */
    bool server;         /* ours, run inside; else the client runs it */
};

enum chat_choice { CHOICE_AUTO, CHOICE_NONE, CHOICE_REQUIRED, CHOICE_NAMED };

enum chat_format { FORMAT_TEXT, FORMAT_JSON_OBJECT, FORMAT_JSON_SCHEMA };

struct chat_request {
    struct arena *arena; /* borrowed: everything below lives there */
    struct span model;
    struct chat_message *messages;
    int message_count;
    struct chat_tool *tools;
    int tool_count;
    enum chat_choice choice;
    struct span choice_name;  /* CHOICE_NAMED */
    const char *choice_field; /* where it stands in the client's form */
    bool parallel_calls;
    bool legacy_calls; /* the client knows functions only, not tools */
    enum chat_format format;
    const cJSON *format_schema; /* FORMAT_JSON_SCHEMA; borrowed */
    float temperature;          /* negative: the client did not say */
    float top_p;                /* the same */
    float presence_penalty;
    float frequency_penalty;
    int top_k;            /* 0: off; for this and those below see sampler.h */
    float min_p;          /* 0: off */
    float repeat_penalty; /* 0: off */
    int repeat_window;
    struct token_bias *biases; /* of the model's own token ids */
    int bias_count;
    bool logprobs;
    int top_logprobs; /* with logprobs: 0 to LOGPROBS_TOP_MAX */
    int choices;      /* answers wanted, 1 to CHAT_CHOICES_MAX. Each is asked
                       * of an llm on its own, which does not look at this */
    bool seeded;
    uint64_t seed;
    int max_tokens; /* 0: the client did not say */
    struct span *stops;
    int stop_count;
    /* Of the client's body, borrowed: what Corral does not know, for an
     * upstream. The engine has no use for them. */
    const cJSON **extras;
    int extra_count;
    struct span extra_text; /* what a model might read of them */
    struct span trace;      /* a W3C traceparent, for an upstream; or empty */
    bool stream;
    bool include_usage;
    bool include_events; /* of a session's turn, beside its text */
    /* Each message is a prompt of its own, to be continued as it stands: no
     * template is put around it. */
    bool raw;
    bool echo; /* with raw: the answer begins with the prompt */
};

/* A request that asks for nothing in particular. */
void chat_request_init(struct chat_request *r, struct arena *arena);
/* The client's word that `name` be called, in its field `field` (a literal). It
 * has to be one of its tools; a client without any may mean one of ours. */
MUST_USE bool chat_choose(struct chat_request *r, struct span name,
                          const char *field, struct err *err);
/* Is there a tool for what the client demands? Once all tools are known. */
MUST_USE bool chat_check_choice(const struct chat_request *r, struct err *err);
/* The call that the result messages[index] answers: the last one before it that
 * has its id. NULL: it comes out of nowhere. */
const struct chat_tool_call *chat_call_of(const struct chat_request *r,
                                          int index);
const char *chat_role_name(enum chat_role role);
/* Of a raw request: which message the answer `index` continues. The answers to
 * a prompt lie together. */
int chat_prompt_of(const struct chat_request *r, int index);

#endif
