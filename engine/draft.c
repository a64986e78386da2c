#include "engine/draft.h"

enum {
    MATCH_LEAST = 2, /* tokens in common before a guess is made */
    MATCH_LONG = 4,  /* from here on a match is a long one */
    MATCH_MOST = 8,  /* longer ones are all equally good */
    REST = 24,       /* tokens between the tries of a poor guesser */
    TRY_ROWS = 8     /* in a fuller step it does not try */
};

/* The time of one more row over that of a step with one: measured 0.15 to 0.23 with
 * a 135M model on two cores, where reading the weights is what costs. */
#define ROW_COST 0.2f
#define TRUST_SHORT 0.3f
#define TRUST_LONG 0.75f
#define TRUST_MOST 0.97f
#define TRUST_RATE 0.2f /* of the way to what a token has shown */

void draft_init(struct draft *d) {
    *d = (struct draft){.trust = {TRUST_SHORT, TRUST_LONG}};
}

/* How many tokens before `end` equal those before `count`. */
static int match_at(const int *tokens, int count, int end) {
    int n = 0;

    while (n < MATCH_MOST && n < end &&
           tokens[end - 1 - n] == tokens[count - 1 - n])
        n++;
    return n;
}

/* The end of the longest match, the latest of equals; *length says how long
 * it is. Overlapping itself is fine: a text may repeat one token. */
static int find_match(const int *tokens, int count, int *length) {
    int best = 0;

    *length = 0;
    for (int end = count - 1; end > 0 && *length < MATCH_MOST; end--) {
        int n;

        if (tokens[end - 1] != tokens[count - 1]) continue;
        n = match_at(tokens, count, end);
        if (n <= *length) continue;
        *length = n;
        best = end;
    }
    return best;
}

/* A row must bring what a row brings anyhow: with `rows` rows a step takes
 * 1 + ROW_COST * (rows - 1), and gives that many tokens. */
static float least_trust(int rows) {
    float step = 1 + ROW_COST * (float)(rows - 1);

    return ROW_COST * (float)rows / step;
}

/* Whether a poor guesser may try once more: it may have got better. */
static bool may_try(const struct draft *d, int rows) {
    return d->rest == 0 && rows <= TRY_ROWS;
}

void draft_guess(const struct draft *d, const int *tokens, int count, int most,
                 int rows, struct draft_guess *out) {
    float trust, right, least = least_trust(rows);
    int length, from;

    out->count = 0;
    if (d->trust[0] < least && d->trust[1] < least && !may_try(d, rows)) return;
    from = find_match(tokens, count, &length);
    if (length < MATCH_LEAST) return;
    out->long_match = length >= MATCH_LONG;
    trust = d->trust[out->long_match];
    if (trust < least) {
        if (!may_try(d, rows)) return;
        if (most > 1) most = 1;
        trust = least;
    }
    if (most > DRAFT_MAX) most = DRAFT_MAX;
    right = trust; /* of all tokens up to here */
    for (int i = 0; i < most && right >= least; i++, right *= trust) {
        int at = from + i;

        /* Past the end of the text the guess goes on with itself. */
        out->tokens[i] = at < count ? tokens[at] : out->tokens[at - count];
        out->count = i + 1;
    }
}

void draft_count(struct draft *d, const struct draft_guess *guess) {
    d->drafted += guess->count;
    if (guess->count > 0)
        d->rest = REST;
    else if (d->rest > 0)
        d->rest--;
}

void draft_right(struct draft *d, const struct draft_guess *guess) {
    float *trust = &d->trust[guess->long_match];

    d->accepted++;
    *trust += (TRUST_MOST - *trust) * TRUST_RATE;
}

void draft_wrong(struct draft *d, const struct draft_guess *guess) {
    d->trust[guess->long_match] *= 1 - TRUST_RATE;
}
