#include "engine/grammar_number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 15 }; /* what a double holds exactly */

/* `least` to `most` digits. */
static int digits(struct grammar *g, int least, int most, int next) {
    int body = graph_range(g, '0', '9', graph_return());

    return graph_repeat(g, body, least, most, next);
}

int graph_number(struct grammar *g, int next) {
    int exponent, fraction, natural;

    exponent = digits(g, 1, 2, next);
    exponent =
        graph_fork(g, graph_range(g, '+', '+', exponent),
                   graph_fork(g, graph_range(g, '-', '-', exponent), exponent));
    exponent = graph_fork(g, graph_range(g, 'e', 'e', exponent),
                          graph_range(g, 'E', 'E', exponent));
    next = graph_fork(g, next, exponent);
    fraction = graph_range(g, '.', '.', digits(g, 1, DIGITS_MAX, next));
    next = graph_fork(g, next, fraction);
    natural = graph_fork(
        g, graph_range(g, '0', '0', next),
        graph_range(g, '1', '9', digits(g, 0, DIGITS_MAX - 1, next)));
    return graph_fork(g, natural, graph_range(g, '-', '-', natural));
}

/* The digits from `at` on of a number of as many digits as `low` and `high`;
 * tight_low: so far it equals low, and so on. */
static int between(struct grammar *g, const char *low, const char *high,
                   bool tight_low, bool tight_high, int next) {
    char from = tight_low ? *low : '0', end = tight_high ? *high : '9';
    int node = -1, way;

    if (!*low) return next;
    if (!tight_low && !tight_high) {
        int count = (int)strlen(low);

        return digits(g, count, count, next);
    }
    if (from == end) {
        way = between(g, low + 1, high + 1, tight_low, tight_high, next);
        return graph_range(g, from, end, way);
    }
    if (tight_low) {
        way = between(g, low + 1, high + 1, true, false, next);
        node = graph_range(g, from, from, way);
        from++;
    }
    if (tight_high) {
        way = between(g, low + 1, high + 1, false, true, next);
        way = graph_range(g, end, end, way);
        node = node < 0 ? way : graph_fork(g, way, node);
        end--;
    }
    if (from <= end) {
        way = between(g, low + 1, high + 1, false, false, next);
        way = graph_range(g, from, end, way);
        node = node < 0 ? way : graph_fork(g, way, node);
    }
    return node;
}

int graph_naturals(struct grammar *g, double low, double high, int next) {
    int node = -1;

    for (int size = 1; size <= DIGITS_MAX; size++) {
        double least = size == 1 ? 0 : pow(10, size - 1);
        double most = pow(10, size) - 1;
        char from[32], end[32];
        int way;

        if (low > most || high < least) continue;
        (void)snprintf(from, sizeof from, "%.0f", low > least ? low : least);
        (void)snprintf(end, sizeof end, "%.0f", high < most ? high : most);
        way = between(g, from, end, true, true, next);
        node = node < 0 ? way : graph_fork(g, way, node);
    }
    return node;
}
