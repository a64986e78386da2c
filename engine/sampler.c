#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "base/bytes.h"

struct candidate {
    float logit;
    int token;
};

struct sampler {
    int vocab;
    struct candidate *candidates; /* a heap while something is cut off */
    float *weights;
    unsigned char *seen; /* all zero between calls */
};

struct sampler *sampler_new(int vocab) {
    struct sampler *s = xalloc(sizeof *s);
    size_t count = (size_t)vocab;

    s->vocab = vocab;
    s->candidates = xalloc_array(count, sizeof *s->candidates);
    s->weights = xalloc_array(count, sizeof *s->weights);
    s->seen = xalloc_array(count, 1);
    return s;
}

void sampler_free(struct sampler *s) {
    if (!s) return;
    free(s->seen);
    free(s->weights);
    free(s->candidates);
    free(s);
}

/* Written so that a NaN fails. */
static bool within(float value, float least, float most) {
    return value >= least && value <= most;
}

bool sampling_check(const struct sampling *p, struct err *err) {
    if (!within(p->temperature, 0, 100))
        return err_set_field(err, ERR_INPUT, "temperature",
                             "must be from 0 to 100");
    if (p->top_k < 0)
        return err_set_field(err, ERR_INPUT, "top_k", "must not be negative");
    if (!within(p->top_p, 0, 1))
        return err_set_field(err, ERR_INPUT, "top_p", "must be from 0 to 1");
    if (!within(p->min_p, 0, 1))
        return err_set_field(err, ERR_INPUT, "min_p", "must be from 0 to 1");
    if (!within(p->presence_penalty, -2, 2))
        return err_set_field(err, ERR_INPUT, "presence_penalty",
                             "must be from -2 to 2");
    if (!within(p->frequency_penalty, -2, 2))
        return err_set_field(err, ERR_INPUT, "frequency_penalty",
                             "must be from -2 to 2");
    return true;
}

static void penalise(struct sampler *s, const struct sampling *p, float *logits,
                     const int *history, int count) {
    if (p->presence_penalty == 0 && p->frequency_penalty == 0) return;
    for (int i = 0; i < count; i++) {
        logits[history[i]] -= p->frequency_penalty;
        if (!s->seen[history[i]]) logits[history[i]] -= p->presence_penalty;
        s->seen[history[i]] = 1;
    }
    for (int i = 0; i < count; i++) s->seen[history[i]] = 0;
}

/* -infinity for what the mask forbids and for NaN, so that one comparison
 * excludes both later. */
static void forbid(float *logits, int vocab, const uint64_t *mask) {
    for (int i = 0; i < vocab; i++)
        if (isnan(logits[i]) || (mask && !(mask[i / 64] >> (i % 64) & 1)))
            logits[i] = -INFINITY;
}

static int best(const float *logits, int vocab) {
    int token = -1;

    for (int i = 0; i < vocab; i++)
        if (logits[i] > (token < 0 ? -INFINITY : logits[token])) token = i;
    return token;
}

/* ---- a heap of candidates, the likeliest first, ties to the lowest id ---- */

static bool before(struct candidate a, struct candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

static void sink(struct candidate *heap, int count, int at) {
    struct candidate moved = heap[at];

    for (;;) {
        int child = 2 * at + 1;

        if (child >= count) break;
        if (child + 1 < count && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], moved)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* Pop the top to heap[count - 1]: what was popped lies behind the heap, the
 * likeliest last. */
static void pop(struct candidate *heap, int count) {
    struct candidate top = heap[0];

    heap[0] = heap[count - 1];
    sink(heap, count - 1, 0);
    heap[count - 1] = top;
}

/* ---- drawing ---- */

/* splitmix64's finaliser: every bit of the input changes every bit. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

/* In [0, 1), from (seed, step) alone. */
static double uniform(uint64_t seed, uint64_t step) {
    uint64_t bits = mix(mix(seed + 0x9E3779B97F4A7C15ull) +
                        (step + 1) * 0x9E3779B97F4A7C15ull);

    return (double)(bits >> 11) * 0x1p-53;
}

/* Whoever is hit when `at` of the total weight has been passed. The last one
 * with any weight, should rounding leave a rest. */
static int draw(const struct candidate *list, const float *weights, int count,
                double at) {
    int token = -1;

    for (int i = 0; i < count; i++) {
        if (weights[i] <= 0) continue;
        token = list[i].token;
        at -= (double)weights[i];
        if (at < 0) break;
    }
    return token;
}

/* Everything that may come, with the temperature applied. */
static int gather(struct sampler *s, const struct sampling *p,
                  const float *logits, float top) {
    int count = 0;

    for (int i = 0; i < s->vocab; i++)
        if (logits[i] > -INFINITY)
            s->candidates[count++] =
                (struct candidate){(logits[i] - top) / p->temperature, i};
    return count;
}

/* Keep the top-k, of these the top-p, and of these the min-p. They end up in
 * list[0..n), the likeliest last; n is returned. */
static int cut(struct sampler *s, const struct sampling *p, int count) {
    struct candidate *list = s->candidates;
    int kept = 0, most = p->top_k > 0 && p->top_k < count ? p->top_k : count;
    double total = 0, sum = 0;

    for (int i = count / 2 - 1; i >= 0; i--) sink(list, count, i);
    if (most < count) {
        for (int i = 0; i < most; i++) {
            pop(list, count - i);
            total += exp((double)list[count - 1 - i].logit);
        }
    } else {
        for (int i = 0; i < count; i++) total += exp((double)list[i].logit);
    }
    /* After a top-k cut the wanted ones lie sorted at the end already. */
    while (kept < most) {
        double weight;

        if (most == count) pop(list, count - kept);
        weight = exp((double)list[count - 1 - kept].logit);
        if (kept > 0 &&
            (sum >= (double)p->top_p * total || weight < (double)p->min_p))
            break;
        sum += weight;
        kept++;
    }
    for (int i = 0; i < kept; i++) list[i] = list[count - kept + i];
    return kept;
}

int sampler_pick(struct sampler *s, const struct sampling *p, float *logits,
                 const uint64_t *mask, const int *history, int history_count,
                 uint64_t step) {
    double total = 0;
    int top, count;

    penalise(s, p, logits, history, history_count);
    forbid(logits, s->vocab, mask);
    top = best(logits, s->vocab);
    if (top < 0 || p->temperature <= 0 || isinf(logits[top])) return top;
    count = gather(s, p, logits, logits[top]);
    if (p->top_k > 0 || p->top_p < 1 || p->min_p > 0) count = cut(s, p, count);
    for (int i = 0; i < count; i++) {
        s->weights[i] = expf(s->candidates[i].logit);
        total += (double)s->weights[i];
    }
    return draw(s->candidates, s->weights, count,
                uniform(p->seed, step) * total);
}
