/* sampler.c - the vocabulary is never sorted. One pass finds the largest logit
 * of each block of 64; the k-th largest of these is a bound that at least k
 * tokens reach, so that only the few blocks above it are looked into again.
 * Loops over the whole vocabulary are written so that a compiler turns them
 * into vector code: no calls and no branches inside, sums in fixed lanes. */
#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum {
    BLOCK = 64, /* a word of the mask */
    LANES = 16,
    NUCLEUS_FIRST = 64, /* tokens that top-p looks at first */
    NUCLEUS_STEPS = 10  /* halvings of the range of weights, if too few */
};

/* Where e^x ends: what is 1e13 times less likely than the best never comes. */
#define EXP_LEAST (-30.0f)

struct candidate {
    float logit;
    float weight;
    int token;
};

struct sampler {
    int vocab;
    int block_count;
    float *best;            /* (block_count) the largest logit of each block */
    double *sums;           /* (block_count) of weights; -1: not weighed yet */
    float *bounds;          /* (block_count) scratch */
    float *weights;         /* (vocab) e^((logit - top) * scale) */
    float top;              /* the largest logit */
    float scale;            /* 1 / temperature */
    float *raw;             /* (vocab) the logits as they came, for a report */
    struct candidate *list; /* (vocab) */
    unsigned char *seen;    /* (vocab) all zero between calls */
};

struct sampler *sampler_new(int vocab) {
    struct sampler *s = xalloc(sizeof *s);
    size_t count = (size_t)vocab, blocks = (count + BLOCK - 1) / BLOCK;

    s->vocab = vocab;
    s->block_count = (int)blocks;
    s->best = xalloc_array(blocks, sizeof *s->best);
    s->sums = xalloc_array(blocks, sizeof *s->sums);
    s->bounds = xalloc_array(blocks, sizeof *s->bounds);
    s->weights = xalloc_array(count, sizeof *s->weights);
    s->raw = xalloc_array(count, sizeof *s->raw);
    s->list = xalloc_array(count, sizeof *s->list);
    s->seen = xalloc_array(count, 1);
    return s;
}

void sampler_free(struct sampler *s) {
    if (!s) return;
    free(s->seen);
    free(s->list);
    free(s->raw);
    free(s->weights);
    free(s->bounds);
    free(s->sums);
    free(s->best);
    free(s);
}

/* ---- what may be asked ---- */

/* Written so that a NaN fails. */
static bool within(float value, float least, float most) {
    return value >= least && value <= most;
}

static bool check_biases(const struct sampling *p, int vocab, struct err *err) {
    if (p->bias_count < 0 || p->bias_count > SAMPLING_BIASES_MAX)
        return err_set_field(err, ERR_LIMIT, "logit_bias",
                             "logit_bias: more than %d tokens",
                             SAMPLING_BIASES_MAX);
    for (int i = 0; i < p->bias_count; i++) {
        if (p->biases[i].token < 0 || p->biases[i].token >= vocab)
            return err_set_field(err, ERR_INPUT, "logit_bias",
                                 "logit_bias: there is no token %d, the "
                                 "vocabulary has %d",
                                 p->biases[i].token, vocab);
        if (!within(p->biases[i].bias, -100, 100))
            return err_set_field(err, ERR_INPUT, "logit_bias",
                                 "logit_bias: must be from -100 to 100");
    }
    return true;
}

bool sampling_check(const struct sampling *p, int vocab, struct err *err) {
    if (!within(p->temperature, 0, 100))
        return err_set_field(err, ERR_INPUT, "temperature",
                             "must be from 0 to 100");
    if (p->top_k < 0)
        return err_set_field(err, ERR_INPUT, "top_k", "must not be negative");
    if (!within(p->top_p, 0, 1))
        return err_set_field(err, ERR_INPUT, "top_p", "must be from 0 to 1");
    if (!within(p->min_p, 0, 1))
        return err_set_field(err, ERR_INPUT, "min_p", "must be from 0 to 1");
    if (p->repeat_penalty != 0 && !within(p->repeat_penalty, 0.1f, 10))
        return err_set_field(err, ERR_INPUT, "repeat_penalty",
                             "must be from 0.1 to 10");
    if (p->repeat_window < -1)
        return err_set_field(err, ERR_INPUT, "repeat_last_n",
                             "must be at least -1");
    if (!within(p->presence_penalty, -2, 2))
        return err_set_field(err, ERR_INPUT, "presence_penalty",
                             "must be from -2 to 2");
    if (!within(p->frequency_penalty, -2, 2))
        return err_set_field(err, ERR_INPUT, "frequency_penalty",
                             "must be from -2 to 2");
    return check_biases(p, vocab, err);
}

/* ---- single logits ---- */

static void penalise_repeats(struct sampler *s, const struct sampling *p,
                             float *logits, const struct sampler_past *past) {
    int count = p->repeat_window < 0 || p->repeat_window > past->count
                    ? past->count
                    : p->repeat_window;
    const int *tokens;

    if (p->repeat_penalty == 0 || p->repeat_penalty == 1) return;
    tokens = past->tokens + past->count - count;
    for (int i = 0; i < count; i++) {
        float *logit = &logits[tokens[i]];

        if (s->seen[tokens[i]]) continue;
        s->seen[tokens[i]] = 1;
        *logit = *logit > 0 ? *logit / p->repeat_penalty
                            : *logit * p->repeat_penalty;
    }
    for (int i = 0; i < count; i++) s->seen[tokens[i]] = 0;
}

static void penalise_written(struct sampler *s, const struct sampling *p,
                             float *logits, const struct sampler_past *past) {
    int count = past->count - past->prompt_count;
    const int *tokens;

    if (p->presence_penalty == 0 && p->frequency_penalty == 0) return;
    tokens = past->tokens + past->prompt_count;
    for (int i = 0; i < count; i++) {
        logits[tokens[i]] -= p->frequency_penalty;
        if (!s->seen[tokens[i]]) logits[tokens[i]] -= p->presence_penalty;
        s->seen[tokens[i]] = 1;
    }
    for (int i = 0; i < count; i++) s->seen[tokens[i]] = 0;
}

static void adjust(struct sampler *s, const struct sampling *p, float *logits,
                   const struct sampler_past *past) {
    for (int i = 0; i < p->bias_count; i++)
        logits[p->biases[i].token] += p->biases[i].bias;
    penalise_repeats(s, p, logits, past);
    penalise_written(s, p, logits, past);
}

static void forbid(float *logits, int vocab, const uint64_t *mask) {
    for (int from = 0; from < vocab; from += BLOCK) {
        uint64_t word = mask[from / BLOCK];

        if (word == UINT64_MAX) continue;
        for (int i = from; i < vocab && i < from + BLOCK; i++)
            if (!(word >> (i - from) & 1)) logits[i] = -INFINITY;
    }
}

/* ---- the whole vocabulary, a block at a time. A NaN loses every comparison,
 * so it is never the largest and has no weight ---- */

static int block_size(const struct sampler *s, int block) {
    int rest = s->vocab - block * BLOCK;

    return rest < BLOCK ? rest : BLOCK;
}

static float largest(const float *at, int count) {
    float lane[LANES], best = -INFINITY;
    int i = 0;

    for (int j = 0; j < LANES; j++) lane[j] = -INFINITY;
    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] = at[i + j] > lane[j] ? at[i + j] : lane[j];
    for (; i < count; i++) best = at[i] > best ? at[i] : best;
    for (int j = 0; j < LANES; j++) best = lane[j] > best ? lane[j] : best;
    return best;
}

/* The likeliest token, or -1. The weights of this temperature may be asked for
 * then. */
static int find_best(struct sampler *s, const float *logits,
                     float temperature) {
    float top = -INFINITY;
    int block = -1;

    for (int b = 0; b < s->block_count; b++) {
        s->best[b] = largest(logits + b * BLOCK, block_size(s, b));
        s->sums[b] = -1;
        if (s->best[b] > top) {
            top = s->best[b];
            block = b;
        }
    }
    if (block < 0) return -1;
    s->top = top;
    s->scale = fminf(1 / temperature, FLT_MAX);
    for (int i = block * BLOCK;; i++)
        if (logits[i] >= top) return i;
}

/* e^x for x <= 0, to 2e-7 of itself: 2^n * e^r with |r| <= ln(2) / 2, the
 * latter by its series. */
static float exp_of(float x) {
    float clamped = x > EXP_LEAST ? x : EXP_LEAST;
    int n = (int)(clamped * 1.44269504f - 0.5f);
    float r = clamped - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
    float y = 1.0f / 720;
    union {
        int32_t bits;
        float value;
    } power = {.bits = (n + 127) << 23};

    y = y * r + 1.0f / 120;
    y = y * r + 1.0f / 24;
    y = y * r + 1.0f / 6;
    y = y * r + 0.5f;
    y = y * r + 1;
    y = y * r + 1;
    return x > EXP_LEAST ? y * power.value : 0;
}

/* Sum in fixed lanes, so that the order of addition is that of vectors. */
static double sum_block(const float *at, int count) {
    float lane[LANES] = {0};
    double sum = 0;
    int i = 0;

    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) lane[j] += at[i + j];
    for (; i < count; i++) sum += (double)at[i];
    for (int j = 0; j < LANES; j++) sum += (double)lane[j];
    return sum;
}

/* The weights of a block, once; a block without any is passed over. */
static void weigh_block(struct sampler *s, const float *logits, int block) {
    float *restrict out = s->weights + block * BLOCK;
    const float *at = logits + block * BLOCK;
    int count = block_size(s, block);
    float top = s->top, scale = s->scale;

    if (s->sums[block] >= 0) return;
    s->sums[block] = 0;
    if ((s->best[block] - top) * scale > EXP_LEAST) {
        for (int i = 0; i < count; i++) out[i] = exp_of((at[i] - top) * scale);
        s->sums[block] = sum_block(out, count);
    } else {
        memset(out, 0, (size_t)count * sizeof *out);
    }
}

/* All of them; their sum. */
static double weigh_all(struct sampler *s, const float *logits) {
    double total = 0;

    for (int b = 0; b < s->block_count; b++) {
        weigh_block(s, logits, b);
        total += s->sums[b];
    }
    return total;
}

/* Of the weights that reach `least`, all being there. */
static double sum_from(const struct sampler *s, float least) {
    double total = 0;

    for (int b = 0; b < s->block_count; b++) {
        const float *at = s->weights + b * BLOCK;
        float kept[BLOCK];
        int count = block_size(s, b);

        for (int i = 0; i < count; i++) kept[i] = at[i] >= least ? at[i] : 0;
        total += sum_block(kept, count);
    }
    return total;
}

/* ---- the likeliest of them ---- */

static bool before(const struct candidate *a, const struct candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

/* splitmix64's finaliser: every bit of the input changes every bit. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

static void swap(struct candidate *a, struct candidate *b) {
    struct candidate kept = *a;

    *a = *b;
    *b = kept;
}

/* Bring those that come before list[pivot] to the front of list[from..end),
 * the pivot behind them; where it is then. Adds up the former's measure. */
static int partition(struct candidate *list, int from, int end, int pivot,
                     bool by_weight, double *sum) {
    int at = from;

    swap(&list[pivot], &list[end - 1]);
    *sum = 0;
    for (int i = from; i < end - 1; i++) {
        if (!before(&list[i], &list[end - 1])) continue;
        *sum += by_weight ? (double)list[i].weight : 1;
        swap(&list[i], &list[at++]);
    }
    swap(&list[at], &list[end - 1]);
    return at;
}

/* Bring the likeliest to the front, as many as it takes to reach `goal`, each
 * counting its weight or 1; how many they are, at least one. Expected time is
 * linear, whatever the logits: the pivots are scattered. */
static int select_likeliest(struct candidate *list, int count, double goal,
                            bool by_weight) {
    int from = 0, end = count;
    double have = 0;

    while (from < end) {
        int pivot = from + (int)(mix((uint64_t)from << 32 | (uint64_t)end) %
                                 (uint64_t)(end - from));
        double sum;
        int at = partition(list, from, end, pivot, by_weight, &sum);

        if (have + sum >= goal) {
            end = at;
        } else {
            have += sum + (by_weight ? (double)list[at].weight : 1);
            from = at + 1;
            if (have >= goal) break;
        }
    }
    return from > 0 ? from : 1;
}

/* The likeliest to the front, and in order, the likeliest first. */
static int sort_likeliest(struct candidate *list, int count, int most) {
    if (count > most) count = select_likeliest(list, count, most, false);
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && before(&list[j], &list[j - 1]); j--)
            swap(&list[j], &list[j - 1]);
    return count;
}

/* A logit that at least `most` tokens reach, or -infinity: the largest ones of
 * as many blocks do. */
static float bound(struct sampler *s, int most) {
    int count = s->block_count, from = 0, end = count;
    float kept;

    if (most >= count) return -INFINITY;
    memcpy(s->bounds, s->best, (size_t)count * sizeof *s->bounds);
    /* Quickselect: bounds[most - 1] as if sorted, the largest first. */
    while (end - from > 1) {
        float pivot = s->bounds[from + (end - from) / 2];
        int i = from, j = end - 1;

        while (i <= j) {
            while (s->bounds[i] > pivot) i++;
            while (s->bounds[j] < pivot) j--;
            if (i > j) break;
            kept = s->bounds[i];
            s->bounds[i++] = s->bounds[j];
            s->bounds[j--] = kept;
        }
        if (most - 1 <= j)
            end = j + 1;
        else if (most - 1 >= i)
            from = i;
        else
            break;
    }
    return s->bounds[most - 1];
}

/* Fill s->list with all whose logit reaches `least`, in the order of ids. */
static int gather(struct sampler *s, const float *logits, float least) {
    int count = 0;

    for (int b = 0; b < s->block_count; b++) {
        int end = b * BLOCK + block_size(s, b);

        if (!(s->best[b] >= least)) continue;
        weigh_block(s, logits, b);
        for (int i = b * BLOCK; i < end; i++)
            if (logits[i] >= least && logits[i] > -INFINITY)
                s->list[count++] =
                    (struct candidate){logits[i], s->weights[i], i};
    }
    return count;
}

static double sum_list(const struct candidate *list, int count) {
    double sum = 0;

    for (int i = 0; i < count; i++) sum += (double)list[i].weight;
    return sum;
}

/* ---- drawing ---- */

/* Which tokens are left: down to `last`, and of at least this weight. */
struct cut {
    struct candidate last;
    float weight_min;
};

static bool is_left(const struct cut *cut, const struct candidate *c) {
    return c->weight > 0 && c->weight >= cut->weight_min &&
           !before(&cut->last, c);
}

/* A logit that no token of at least this weight is below. */
static float logit_least(const struct sampler *s, float weight) {
    double slack = 1e-3; /* against the rounding of weights */
    double least;

    if (weight <= 0) return -INFINITY;
    least = (double)s->top + (log((double)weight) - slack) / (double)s->scale;
    return nextafterf((float)least, -INFINITY);
}

/* Fill s->list with those that weigh `goal` together, and not many more. */
static int gather_nucleus(struct sampler *s, const float *logits, double goal) {
    int count = gather(s, logits, bound(s, NUCLEUS_FIRST));
    float from = EXP_LEAST, to = 0;

    if (sum_list(s->list, count) >= goal) return count;
    for (int i = 0; i < NUCLEUS_STEPS; i++) {
        float middle = (from + to) / 2;

        if (sum_from(s, exp_of(middle)) >= goal)
            from = middle;
        else
            to = middle;
    }
    return gather(s, logits, logit_least(s, exp_of(from)));
}

static struct cut cut_at(struct sampler *s, const struct sampling *p,
                         const float *logits) {
    struct cut cut = {{-INFINITY, 0, s->vocab}, p->min_p};
    double total;
    int count;

    if (p->top_k > 0 && p->top_k < s->vocab) {
        count = gather(s, logits, bound(s, p->top_k));
        count = select_likeliest(s->list, count, p->top_k, false);
        total = sum_list(s->list, count);
    } else if (p->top_p < 1) {
        total = weigh_all(s, logits);
        count = gather_nucleus(s, logits, (double)p->top_p * total);
    } else {
        return cut;
    }
    if (p->top_p < 1)
        count =
            select_likeliest(s->list, count, (double)p->top_p * total, true);
    cut.last = s->list[0];
    for (int i = 1; i < count; i++)
        if (before(&cut.last, &s->list[i])) cut.last = s->list[i];
    return cut;
}

/* In [0, 1), from (seed, step) alone. */
static double uniform(uint64_t seed, uint64_t step) {
    uint64_t bits = mix(mix(seed + 0x9E3779B97F4A7C15ull) +
                        (step + 1) * 0x9E3779B97F4A7C15ull);

    return (double)(bits >> 11) * 0x1p-53;
}

/* Put what is left on s->list, in the order of ids. */
static int gather_left(struct sampler *s, const float *logits,
                       const struct cut *cut) {
    float least = logit_least(s, cut->weight_min);
    int all, count = 0;

    if (cut->last.logit > least) least = cut->last.logit;
    all = gather(s, logits, least);
    for (int i = 0; i < all; i++)
        if (is_left(cut, &s->list[i])) s->list[count++] = s->list[i];
    return count;
}

/* Whoever is hit when `at` of the total weight has been passed; the last one,
 * should rounding leave a rest. */
static int draw_listed(const struct candidate *list, int count, double at) {
    int i = 0;

    while (i < count - 1 && at >= (double)list[i].weight)
        at -= (double)list[i++].weight;
    return list[i].token;
}

/* Among all tokens: the block by its sum, then within the block. */
static int draw_any(const struct sampler *s, double at) {
    int block = 0, token = -1;

    for (int b = 0; b < s->block_count; b++) {
        if (s->sums[b] <= 0) continue;
        block = b;
        if (at < s->sums[b]) break;
        at -= s->sums[b];
    }
    for (int i = block * BLOCK; i < block * BLOCK + block_size(s, block); i++) {
        if (s->weights[i] <= 0) continue;
        token = i;
        if (at < (double)s->weights[i]) break;
        at -= (double)s->weights[i];
    }
    return token;
}

static int draw(struct sampler *s, const struct sampling *p,
                const float *logits, uint64_t step) {
    double at = uniform(p->seed, step);
    struct cut cut;
    int count;

    if (p->top_k == 0 && p->top_p >= 1 && p->min_p <= 0)
        return draw_any(s, at * weigh_all(s, logits));
    cut = cut_at(s, p, logits);
    count = gather_left(s, logits, &cut);
    return draw_listed(s->list, count, at * sum_list(s->list, count));
}

/* ---- the report ---- */

static float logprob_of(double logit, double norm) {
    double logprob = logit - norm;

    /* Also where both are infinite, and for a NaN. */
    return logprob > (double)LOGPROB_LEAST ? (float)logprob : LOGPROB_LEAST;
}

/* Fill the report but for what was picked. The log of the softmax's divisor,
 * which that needs. */
static double report_top(struct sampler *s, const float *logits,
                         struct sampler_report *report) {
    int best = find_best(s, logits, 1), count = 0;
    double norm;

    memcpy(s->raw, logits, (size_t)s->vocab * sizeof *s->raw);
    if (best < 0) {
        report->top_count = 0;
        return 0;
    }
    norm = (double)logits[best];
    if (isfinite(norm)) norm += log(weigh_all(s, logits));
    if (report->top_count > 0) {
        count = gather(s, logits, bound(s, report->top_count));
        count = sort_likeliest(s->list, count, report->top_count);
    }
    report->top_count = count;
    for (int i = 0; i < count; i++)
        report->top[i] = (struct token_logprob){
            s->list[i].token, logprob_of((double)s->list[i].logit, norm)};
    return norm;
}

int sampler_pick(struct sampler *s, const struct sampling *p, float *logits,
                 const uint64_t *mask, const struct sampler_past *past,
                 struct sampler_report *report) {
    double norm = report ? report_top(s, logits, report) : 0;
    int token;

    adjust(s, p, logits, past);
    if (mask) forbid(logits, s->vocab, mask);
    token = find_best(s, logits, p->temperature);
    if (token >= 0 && p->temperature > 0 && isfinite(logits[token]))
        token =
            draw(s, p, logits, (uint64_t)(past->count - past->prompt_count));
    if (report && token >= 0)
        report->picked = (struct token_logprob){
            token, logprob_of((double)s->raw[token], norm)};
    return token;
}
