#include "agent/decide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* What the decision may read of a message and of a description: it must stay
 * quick, and the beginning says what is wanted. */
enum {
    MESSAGE_BYTES_MAX = 600,
    DESCRIPTION_BYTES_MAX = 160,
    DECISION_TOOLS_MAX = 16
};

/* From 24 questions written for the purpose; docs/agent.md has the figures. */
static const float threshold = 1.03f;

static const char preamble[] =
    "Tools:\n"
    "get_weather: the weather forecast of a place\n"
    "send_message: write to a person\n"
    "convert_units: lengths and weights in other units\n";

static const struct {
    const char *message;
    const char *tool;
} examples[] = {{"What is the forecast for Rome?", "get_weather"},
                {"Tell me a joke.", "none"},
                {"Send Anna a message that I am late.", "send_message"},
                {"Who was the first man on the moon?", "none"},
                {"How many kilometres are 26 miles?", "convert_units"},
                {"Write a poem about love.", "none"},
                {"Will it rain in Paris tomorrow?", "get_weather"},
                {"How do plants grow?", "none"},
                {"Text my boss that I am sick.", "send_message"},
                {"Thank you!", "none"},
                {"Convert 100 pounds to kilograms.", "convert_units"},
                {"What is the best way to learn to swim?", "none"},
                {"What will the weather be like on Sunday?", "get_weather"},
                {"What is the capital of Spain?", "none"},
                {"How heavy is 3 stone in kilos?", "convert_units"},
                {"Hello, who are you?", "none"},
                {"Ask my sister to call me.", "send_message"},
                {"Explain gravity.", "none"}};

/* Messages that need nothing: how much a name is liked by itself. */
static const char *const neutral[] = {"Hello!", "Tell me a story."};

enum { NEUTRALS = sizeof neutral / sizeof *neutral };

struct decision {
    const struct tokenizer *tokenizer;
    const struct chat_request *request;
    struct bytes head; /* all that the questions share */
    struct tokens tokens;
    int labels[DECISION_TOOLS_MAX + 1]; /* the tools', then that of none */
    int tool_count;
    float bias[DECISION_TOOLS_MAX];
    float score[DECISION_TOOLS_MAX];
    int asked; /* of NEUTRALS + 1 */
    int scored;
};

/* One line: a line break could begin a line of its own making. */
static void put_line(struct bytes *out, struct span s, size_t most) {
    s = utf8_head(s, most);
    for (size_t i = 0; i < s.size; i++) {
        char c = (unsigned char)s.at[i] < ' ' ? ' ' : s.at[i];

        bytes_put(out, (struct span){&c, 1});
    }
}

static void put_head(struct decision *d) {
    bytes_puts(&d->head, preamble);
    for (int i = 0; i < d->tool_count; i++) {
        bytes_put(&d->head, d->request->tools[i].name);
        bytes_puts(&d->head, ": ");
        put_line(&d->head, d->request->tools[i].description,
                 DESCRIPTION_BYTES_MAX);
        bytes_puts(&d->head, "\n");
    }
    bytes_puts(&d->head, "none: no tool is needed, just answer\n\n");
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        bytes_puts(&d->head, "Message: ");
        bytes_puts(&d->head, examples[i].message);
        bytes_puts(&d->head, "\nTool: ");
        bytes_puts(&d->head, examples[i].tool);
        bytes_puts(&d->head, "\n\n");
    }
}

/* The first token of " NAME": what would come after "Tool:". */
static bool label_of(struct decision *d, struct span name, int *out,
                     struct err *err) {
    struct tokens tokens = {0};
    struct bytes text = {0};
    bool ok;

    bytes_puts(&text, " ");
    bytes_put(&text, name);
    ok = tokenizer_encode(d->tokenizer, span_bytes(&text), &tokens, err) &&
         (tokens.count > 0 ||
          err_set(err, ERR_UNSUPPORTED, "a tool's name has no token"));
    if (ok) *out = tokens.at[0];
    bytes_free(&text);
    tokens_free(&tokens);
    return ok;
}

bool decide_can(const struct chat_request *r) {
    return r->tool_count > 0 && r->tool_count <= DECISION_TOOLS_MAX &&
           r->message_count > 0 &&
           r->messages[r->message_count - 1].role == CHAT_USER;
}

struct decision *decision_new(const struct tokenizer *t,
                              const struct chat_request *r) {
    struct decision *d;

    if (!decide_can(r)) return NULL;
    d = xalloc(sizeof *d);
    d->tokenizer = t;
    d->request = r;
    d->tool_count =
        r->tool_count < DECISION_TOOLS_MAX ? r->tool_count : DECISION_TOOLS_MAX;
    put_head(d);
    return d;
}

void decision_free(struct decision *d) {
    if (!d) return;
    bytes_free(&d->head);
    tokens_free(&d->tokens);
    free(d);
}

static bool prepare_labels(struct decision *d, struct err *err) {
    for (int i = 0; i < d->tool_count; i++)
        if (!label_of(d, d->request->tools[i].name, &d->labels[i], err))
            return false;
    return label_of(d, span_of("none"), &d->labels[d->tool_count], err);
}

bool decision_next(struct decision *d, struct decision_question *out,
                   struct err *err) {
    const struct chat_request *r = d->request;
    struct bytes text = {0};
    bool ok;

    if (d->asked == 0 && !prepare_labels(d, err)) return false;
    bytes_put(&text, span_bytes(&d->head));
    bytes_puts(&text, "Message: ");
    put_line(&text,
             d->asked < NEUTRALS ? span_of(neutral[d->asked])
                                 : r->messages[r->message_count - 1].text,
             MESSAGE_BYTES_MAX);
    bytes_puts(&text, "\nTool:");
    d->tokens.count = 0;
    ok = tokenizer_encode(d->tokenizer, span_bytes(&text), &d->tokens, err);
    bytes_free(&text);
    if (!ok) return false;
    d->asked++;
    *out = (struct decision_question){.tokens = d->tokens.at,
                                      .token_count = (int)d->tokens.count,
                                      .labels = d->labels,
                                      .label_count = d->tool_count + 1};
    return true;
}

void decision_scored(struct decision *d, const float *scores, int count) {
    if (count != d->tool_count + 1 || decision_done(d)) return;
    for (int i = 0; i < d->tool_count; i++) {
        float margin = scores[i] - scores[d->tool_count];

        if (d->scored < NEUTRALS)
            d->bias[i] += margin / (float)NEUTRALS;
        else
            d->score[i] = margin - d->bias[i];
    }
    d->scored++;
}

bool decision_done(const struct decision *d) {
    return d->scored > NEUTRALS;
}

int decision_best(const struct decision *d) {
    int best = 0;

    for (int i = 1; i < d->tool_count; i++)
        if (d->score[i] > d->score[best]) best = i;
    return best;
}

int decision_tool(const struct decision *d) {
    int best = decision_best(d);
    float score = d->score[best];

    return decision_done(d) && isfinite(score) && score > threshold ? best : -1;
}

/* ---- the arguments ---- */

static const char worked_calls[] =
    "Tool: get_weather: the weather forecast of a place\n"
    "Message: What is the forecast for Rome?\n"
    "Arguments: {\"place\": \"Rome\"}\n\n"
    "Tool: convert_units: lengths and weights in other units\n"
    "Message: How many kilometres are 26 miles?\n"
    "Arguments: {\"value\": 26, \"from\": \"miles\", \"to\": "
    "\"kilometres\"}\n\n"
    "Tool: solve: evaluate a formula\n"
    "Message: What is 8 times 9?\n"
    "Arguments: {\"formula\": \"8 * 9\"}\n\n"
    "Tool: send_message: write to a person\n"
    "Message: Text my boss that I am sick.\n"
    "Arguments: {\"to\": \"my boss\", \"text\": \"I am sick.\"}\n\n"
    "Tool: solve: evaluate a formula\n"
    "Message: I have 3 bags with 12 coins each and lose 5. How many are left?\n"
    "Arguments: {\"formula\": \"3 * 12 - 5\"}\n\n"
    "Tool: get_opening_hours: when a shop is open\n"
    "Message: When does the bakery in Lyon open?\n"
    "Arguments: {\"shop\": \"bakery\", \"city\": \"Lyon\"}\n\n"
    "Tool: solve: evaluate a formula\n"
    "Message: What is 20% of 350?\n"
    "Arguments: {\"formula\": \"350 * 20 / 100\"}\n\n";

bool decide_arguments_prompt(const struct tokenizer *t,
                             const struct chat_request *r, int tool,
                             struct tokens *out, struct err *err) {
    struct bytes text = {0};
    bool ok;

    bytes_puts(&text, worked_calls);
    bytes_puts(&text, "Tool: ");
    bytes_put(&text, r->tools[tool].name);
    bytes_puts(&text, ": ");
    put_line(&text, r->tools[tool].description, DESCRIPTION_BYTES_MAX);
    bytes_puts(&text, "\nMessage: ");
    put_line(&text, r->messages[r->message_count - 1].text, MESSAGE_BYTES_MAX);
    bytes_puts(&text, "\nArguments:");
    ok = tokenizer_encode(t, span_bytes(&text), out, err);
    bytes_free(&text);
    return ok;
}
