/* places.h - where the model, the policy and the guard's own models are when
 * nobody says. docs/cli.md has the order of look-up. The results are owned
 * (malloc). */
#ifndef CORRAL_CLI_PLACES_H
#define CORRAL_CLI_PLACES_H

#include "base/err.h"

/* `given` when it is not NULL, not empty and not "default"; else
 * $CORRAL_HOME (or ~/.cache/corral) and the default model's name. The file
 * need not be there: opening it will tell. */
char *places_model(const char *given);

/* `given`, else ./policies/default.yaml, else the same beside the binary's
 * folder, else in ../share/corral of it. ERR_NOT_FOUND names the places. */
MUST_USE char *places_policy(const char *given, struct err *err);

/* `given`, else guard/models at the same places: a folder. */
MUST_USE char *places_guard(const char *given, struct err *err);

/* The adapter with which `model` calls tools, looked for like a policy. NULL
 * for other models than the default one, for which it was trained; and with
 * `err` when it is not there. */
char *places_calls(const char *model, struct err *err);

/* The folder of the databases: `given`, else "data" in $CORRAL_HOME (or
 * ~/.cache/corral). Made, with mode 0700, when it is not there. */
MUST_USE char *places_data(const char *given, struct err *err);

/* Put the file's name before an error that does not have it: the parts that
 * read a model's content know its keys and not its path. */
void places_blame(struct err *err, const char *path);

#endif
