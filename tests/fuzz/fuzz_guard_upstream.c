/* fuzz_guard_upstream.c - what another server answers as a Llama Guard: texts,
 * likelihoods, calls and ends in any order give one outcome, whose scores are
 * probabilities. The first byte chooses the format and how many categories of
 * its own a policy has. */
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "proxy/guard_upstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOP_MAX = 4 };

struct world {
    struct llm llm; /* first, so that the callbacks can cast back */
    struct llm_events events;
    bool running;
    int told;
};

static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    struct world *w = (struct world *)llm;

    (void)client;
    (void)err;
    if (r->message_count != 1) abort();
    w->events = *events;
    w->running = true;
    return (struct llm_call *)w;
}

static void cancel(struct llm *llm, struct llm_call *call) {
    (void)call;
    ((struct world *)llm)->running = false;
}

static void on_done(void *user, const float *scores, const struct err *err) {
    struct world *w = user;

    w->told++;
    if ((scores == NULL) == (err == NULL)) abort();
    if (err && err->code == ERR_NONE) abort();
    for (int i = 0; scores && i < PEER_SCORES; i++)
        /* Written so that no number at all fails as well. */
        if (!(scores[i] >= 0 && scores[i] <= 1)) abort();
}

/* The next `most` bytes at most, as many as a byte says. */
static struct span take(struct span *in, size_t most) {
    size_t size = in->size ? (unsigned char)in->at[0] % (most + 1) : 0;
    struct span out = span_slice(*in, in->size ? 1 : 0, 1 + size);

    *in = span_slice(*in, 1 + size, in->size);
    return out;
}

static void take_logprob(struct span *in, struct llm_logprob *out) {
    struct span number;

    *out = (struct llm_logprob){.text = take(in, 8)};
    number = span_slice(*in, 0, sizeof out->logprob);
    *in = span_slice(*in, number.size, in->size);
    if (number.size) memcpy(&out->logprob, number.at, number.size);
    /* As whoever reads the server's JSON promises (llm.h). */
    if (!(out->logprob > LOGPROB_LEAST)) out->logprob = LOGPROB_LEAST;
    if (out->logprob > 0) out->logprob = 0;
}

static void tell_logprobs(struct world *w, struct span *in) {
    struct llm_logprob top[TOP_MAX], token;
    int count = in->size ? (unsigned char)in->at[0] % (TOP_MAX + 1) : 0;

    take_logprob(in, &token);
    for (int i = 0; i < count; i++) take_logprob(in, &top[i]);
    token.top = top;
    token.top_count = count;
    w->events.on_logprobs(w->events.user, &token, 1);
}

static void step(struct world *w, struct span *in) {
    const struct chat_tool_call call = {0};
    struct llm_end end = {.ok = true};
    char what = in->at[0];

    *in = span_slice(*in, 1, in->size);
    switch (what) {
    case 'l':
        tell_logprobs(w, in);
        break;
    case 'c':
        w->events.on_tool_call(w->events.user, &call);
        break;
    case 'x':
        end.ok = false;
        (void)err_set(&end.err, ERR_IO, "gone");
        w->running = false;
        w->events.on_end(w->events.user, &end);
        break;
    case 'e':
        w->running = false;
        w->events.on_end(w->events.user, &end);
        break;
    default:
        w->events.on_text(w->events.user, take(in, 40), NULL, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct guard_turn turn = {GUARD_USER, {"hello", 5}};
    static const struct llamaguard_category own = {"Secrets", NULL};
    struct llamaguard_category custom[LLAMAGUARD_CUSTOM_MAX];
    struct world w = {.llm = {.start = start, .cancel = cancel}};
    struct peer_request r = {.turns = &turn, .turn_count = 1, .custom = custom};
    struct span in = {(const char *)data, size};
    struct guard_upstream *g;
    struct err err = {0};
    uv_loop_t loop;
    void *job;

    if (!size) return 0;
    for (int i = 0; i < LLAMAGUARD_CUSTOM_MAX; i++) custom[i] = own;
    r.custom_count = data[0] / LLAMAGUARD_FORMATS % (LLAMAGUARD_CUSTOM_MAX + 1);
    if (uv_loop_init(&loop)) abort();
    g = guard_upstream_open(
        &loop, &w.llm, (enum llamaguard_format)(data[0] % LLAMAGUARD_FORMATS));
    job = guard_upstream_peer(g)->ask(g, &r, on_done, &w, &err);
    if (!job) abort();
    in = span_slice(in, 1, in.size);
    while (w.running && in.size) step(&w, &in);
    if (w.told > 1 || (w.running && w.told)) abort();
    if (!w.told) guard_upstream_peer(g)->cancel(job);
    if (w.running) abort();
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop)) abort();
    guard_upstream_close(g);
    return 0;
}
