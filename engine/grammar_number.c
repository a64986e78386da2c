/* A number is read as a whole one: with F decimals, 10^F times itself. While
 * its digits come, it is known how it compares with the limits so far, and
 * what is left of it after division by the step. */
#include "engine/grammar_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
    DIGITS_MAX = 15,
    DECIMALS_MAX = 9,
    OPEN_DIGITS = 10,  /* before the point, where there is no limit */
    LISTED_MAX = 1024, /* multiples that are written out one by one */
    SLOTS = 4 * DFA_STATES_MAX
};

/* How the digits so far compare with as many digits of a limit. */
enum order { LESS, SAME, MORE };

struct place {
    int digits;   /* before the point */
    int decimals; /* after it; -1: before the point */
    int low;      /* enum order */
    int high;
    int zero;      /* a leading zero: nothing but a point may follow */
    int unused;    /* instead of padding, since a place is hashed as bytes */
    uint64_t rest; /* of the division by the step */
};

/* The digits of a limit, as many after the point as there are decimals. */
struct limit {
    char digits[2 * DIGITS_MAX + 2];
    int whole; /* of them before the point */
};

struct maker {
    struct dfa_draft draft;
    struct limit low;
    struct limit high;
    int decimals;
    uint64_t step;
    struct place *places; /* (DFA_STATES_MAX) of the states */
    int *slots;           /* (SLOTS) a state + 1 */
};

/* ---- one range of numbers that are not negative ---- */

static void limit_init(struct limit *l, double scaled, int decimals) {
    (void)snprintf(l->digits, sizeof l->digits, "%0*.0f", decimals + 1, scaled);
    l->whole = (int)strlen(l->digits) - decimals;
}

static int compare(int so_far, char digit, char limit) {
    if (so_far != SAME || digit == limit) return so_far;
    return digit < limit ? LESS : MORE;
}

/* Against a limit, once the point or the end comes after `digits` of them. */
static int settle(int so_far, int digits, const struct limit *l) {
    if (digits == l->whole) return so_far;
    return digits < l->whole ? LESS : MORE;
}

static bool zeros(const char *digits) {
    return digits[strspn(digits, "0")] == '\0';
}

static bool accepts(const struct maker *m, const struct place *p) {
    int low = p->low, high = p->high, decimals = p->decimals;
    uint64_t rest = p->rest;

    if (p->digits == 0 || decimals == 0) return false;
    if (decimals < 0) {
        low = settle(low, p->digits, &m->low);
        high = settle(high, p->digits, &m->high);
        decimals = 0;
    }
    for (int i = decimals; i < m->decimals; i++) rest = rest * 10 % m->step;
    if (rest || low == LESS || high == MORE) return false;
    return low == MORE || zeros(m->low.digits + m->low.whole + decimals);
}

static int state_of(struct maker *m, const struct place *p) {
    size_t slot =
        (size_t)hash_fnv1a(HASH_FNV1A_START,
                           (struct span){(const char *)p, sizeof *p}) %
        SLOTS;
    int made;

    for (; m->slots[slot]; slot = (slot + 1) % SLOTS)
        if (!memcmp(&m->places[m->slots[slot] - 1], p, sizeof *p))
            return m->slots[slot] - 1;
    made = dfa_state(&m->draft, accepts(m, p), false);
    if (m->draft.full) return 0;
    m->places[made] = *p;
    m->slots[slot] = made + 1;
    return made;
}

/* A digit after `p`: false when it cannot come. */
static bool digit_after(const struct maker *m, const struct place *p,
                        char digit, struct place *next) {
    *next = *p;
    next->rest = (p->rest * 10 + (uint64_t)(digit - '0')) % m->step;
    if (p->decimals >= 0) {
        int at = next->decimals++;

        if (at == m->decimals) return false;
        next->low = compare(p->low, digit, m->low.digits[m->low.whole + at]);
        next->high =
            compare(p->high, digit, m->high.digits[m->high.whole + at]);
        return next->low != LESS && next->high != MORE;
    }
    if (p->zero || p->digits == m->high.whole) return false;
    next->zero = p->digits == 0 && digit == '0';
    if (p->digits < m->low.whole)
        next->low = compare(p->low, digit, m->low.digits[p->digits]);
    next->high = compare(p->high, digit, m->high.digits[p->digits]);
    next->digits++;
    return true;
}

static bool point_after(const struct maker *m, const struct place *p,
                        struct place *next) {
    *next = *p;
    if (m->decimals == 0 || p->decimals >= 0 || p->digits == 0) return false;
    next->low = settle(p->low, p->digits, &m->low);
    next->high = settle(p->high, p->digits, &m->high);
    next->decimals = 0;
    return next->low != LESS && next->high != MORE;
}

/* States for numbers from `low` to `high` (scaled), after state `first`. */
static void put_range(struct maker *m, double low, double high, int first) {
    struct place start = {.decimals = -1, .low = SAME, .high = SAME}, next;

    limit_init(&m->low, low, m->decimals);
    limit_init(&m->high, high, m->decimals);
    memset(m->slots, 0, SLOTS * sizeof *m->slots);
    m->places[first] = start;
    for (int i = first; i < m->draft.count && !m->draft.full; i++) {
        struct place p = m->places[i];

        for (char digit = '0'; digit <= '9'; digit++)
            if (digit_after(m, &p, digit, &next))
                dfa_edge(&m->draft, i, digit, digit, state_of(m, &next));
        if (point_after(m, &p, &next))
            dfa_edge(&m->draft, i, '.', '.', state_of(m, &next));
    }
}

/* ---- both signs ---- */

static struct dfa *make_ranges(struct maker *m, double low, double high,
                               struct err *err) {
    int start = dfa_state(&m->draft, false, false);

    m->places = xalloc_array(DFA_STATES_MAX, sizeof *m->places);
    m->slots = xalloc_array(SLOTS, sizeof *m->slots);
    if (high >= 0) put_range(m, low > 0 ? low : 0, high, start);
    if (low < 0 && !m->draft.full) {
        int minus = dfa_state(&m->draft, false, false);

        dfa_edge(&m->draft, start, '-', '-', minus);
        if (!m->draft.full) put_range(m, high < 0 ? -high : 1, -low, minus);
    }
    free(m->places);
    free(m->slots);
    return dfa_finish(&m->draft, err);
}

static void put_text(struct dfa_draft *d, const char *text) {
    int state = 0;

    for (; *text; text++) {
        int byte = (unsigned char)*text, to = d->next[state * 256 + byte];

        if (to == DFA_DEAD) {
            to = dfa_state(d, false, false);
            dfa_edge(d, state, byte, byte, to);
        }
        state = to;
    }
    d->accept[state] = true;
}

/* Each multiple by itself, for a step that has too many remainders. */
static struct dfa *make_list(double low, double high, double step, int decimals,
                             struct err *err) {
    struct dfa_draft draft = {0};

    (void)dfa_state(&draft, false, false);
    for (double x = ceil(low / step) * step; x <= high; x += step) {
        char text[64];

        /* + 0.0: a negative zero would be printed with its sign. */
        (void)snprintf(text, sizeof text, "%.*f", decimals,
                       x / pow(10, decimals) + 0.0);
        put_text(&draft, text);
    }
    return dfa_finish(&draft, err);
}

/* ---- the limits, scaled ---- */

static int digits_of(double x) {
    int digits = 1;

    for (x = fabs(x); x >= 10 && digits < 400; x /= 10) digits++;
    return digits;
}

/* The step as a whole number and its decimals: 0.25 is 25 and 2. */
static bool scale_step(double step, double *scaled, int *decimals) {
    for (*decimals = 0; *decimals <= DECIMALS_MAX; ++*decimals) {
        double power = pow(10, *decimals);

        *scaled = floor(step * power + 0.5);
        if (*scaled > NUMBER_MAX) return false;
        if (*scaled >= 1 && *scaled / power == step) return true;
    }
    return false;
}

static double gcd(double a, double b) {
    while (b > 0) {
        double rest = fmod(a, b);

        a = b;
        b = rest;
    }
    return a;
}

/* Digits before the point that the limits ask for. */
static int whole_digits(const struct number_range *r) {
    int low = isfinite(r->low) ? digits_of(r->low) : OPEN_DIGITS;
    int high = isfinite(r->high) ? digits_of(r->high) : OPEN_DIGITS;
    int most = low > high ? low : high;

    return most < DIGITS_MAX ? most : DIGITS_MAX;
}

/* The least whole number of which 1/power is not below `low`. Divided, both
 * are exact, so the quotient is the double that a reader takes the digits
 * for. */
static double scale_low(double low, bool open, double power, double limit) {
    double x;

    if (!(low > -limit / power)) return -limit;
    x = ceil(low * power);
    while ((x - 1) / power >= low) x -= 1;
    while (x / power < low || (open && x / power == low)) x += 1;
    return x;
}

struct dfa *number_dfa(const struct number_range *r, struct err *err) {
    struct maker m = {.step = 1};
    double low, high, power, limit, step = 1;

    if (r->step > 0 && !scale_step(r->step, &step, &m.decimals)) {
        err_set(err, ERR_UNSUPPORTED, "not a decimal of at most %d places",
                DECIMALS_MAX);
        return NULL;
    }
    if (r->whole) {
        step /= gcd(step, pow(10, m.decimals));
        m.decimals = 0;
    } else if (r->step <= 0) {
        m.decimals = DIGITS_MAX - whole_digits(r);
        if (m.decimals > DECIMALS_MAX) m.decimals = DECIMALS_MAX;
    }
    power = pow(10, m.decimals);
    limit = NUMBER_MAX;
    if (r->low > limit / power || r->high < -limit / power) {
        err_set(err, ERR_UNSUPPORTED, "past %.0f", limit / power);
        return NULL;
    }
    low = scale_low(r->low, r->low_open, power, limit);
    high = -scale_low(-r->high, r->high_open, power, limit);
    if (low > high) {
        err_set(err, ERR_INPUT, "no number fits the limits");
        return NULL;
    }
    m.step = (uint64_t)step;
    if (step > 1 && (high - low) / step <= LISTED_MAX)
        return make_list(low, high, step, m.decimals, err);
    return make_ranges(&m, low, high, err);
}
