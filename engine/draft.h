/* draft.h - a guess at the next tokens of a text, looked up in the text
 * itself: what followed the last time that its last few tokens came. Answers
 * that quote, summarise or repeat are full of such runs. The guess only saves
 * time: the model checks every token of it in one pass, as further rows, and
 * keeps those that it would have picked itself.
 *
 * A row that is checked costs about ROW_COST of a step with a single row, so
 * a guess pays when it is right often enough. How often is learnt, for each
 * text, apart for long and short matches. */
#ifndef CORRAL_ENGINE_DRAFT_H
#define CORRAL_ENGINE_DRAFT_H

#include <stdbool.h>

enum { DRAFT_MAX = 8 };

struct draft {
    float trust[2]; /* how likely a guess is right: short, long matches */
    int rest;       /* tokens to go until a poor guesser may try again */
    int drafted;    /* in all */
    int accepted;
};

/* A guess, and of which kind it is. */
struct draft_guess {
    int tokens[DRAFT_MAX];
    int count;
    bool long_match;
};

void draft_init(struct draft *d);

/* What may follow tokens[0..count): at most `most` tokens, fewer the less they
 * are trusted, none when `rows`, the texts that decode in this step, are so
 * many that a row is better not wasted. Linear in `count`. */
void draft_guess(const struct draft *d, const int *tokens, int count, int most,
                 int rows, struct draft_guess *out);

/* What became of a guess. A step of the text begins, with or without one; a
 * token of it was right, and the next one came for free; a token was wrong,
 * and those after it were in vain. */
void draft_count(struct draft *d, const struct draft_guess *guess);
void draft_right(struct draft *d, const struct draft_guess *guess);
void draft_wrong(struct draft *d, const struct draft_guess *guess);

#endif
