/* grammar_number.h - JSON numbers as a part of a grammar's graph. */
#ifndef CORRAL_ENGINE_GRAMMAR_NUMBER_H
#define CORRAL_ENGINE_GRAMMAR_NUMBER_H

#include "engine/grammar_graph.h"

#define GRAPH_INTEGER_MAX 999999999999999.0 /* fifteen nines: exact */

/* Any number of at most 15 digits before and after the point and two in the
 * exponent, so that it is finite; then `next`. */
int graph_number(struct grammar *g, int next);
/* The whole numbers from low to high, 0 <= low <= high <= the maximum. */
int graph_naturals(struct grammar *g, double low, double high, int next);

#endif
