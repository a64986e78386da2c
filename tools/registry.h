/* registry.h - the tools there are. Filled at start, read-only afterwards.
 * Event-loop thread. */
#ifndef CORRAL_TOOLS_REGISTRY_H
#define CORRAL_TOOLS_REGISTRY_H

#include "tools/tool.h"

enum { REGISTRY_TOOLS_MAX = 64 }; /* a bit each, where sets are kept */

struct registry;
struct tool_options; /* tools/options.h */
struct artefacts;    /* tools/artefact.h */

struct registry *registry_new(void); /* empty */
/* Closes the tools that it owns: the loop must run once more after this. */
void registry_free(struct registry *r);
/* Borrows `tool`. ERR_INPUT for a bad name or schema, or a name taken. */
MUST_USE bool registry_add(struct registry *r, const struct tool *tool,
                           struct err *err);
/* The same, and the tool becomes the registry's, which calls its close(): on
 * failure at once. */
MUST_USE bool registry_take(struct registry *r, struct tool *tool,
                            struct err *err);
/* A tool that is compiled in, by its name in the options; ERR_INPUT with the
 * place when there is none of this name or its options are wrong. */
MUST_USE bool registry_open(struct registry *r,
                            const struct tool_options *options,
                            struct err *err);
/* One that takes no options ("calculator", "time"); ERR_NOT_FOUND. */
MUST_USE bool registry_add_builtin(struct registry *r, const char *name,
                                   struct err *err);
/* What tools made for the client to fetch: theirs to fill. */
struct artefacts *registry_artefacts(const struct registry *r);
/* One of them; see artefacts_get(). */
MUST_USE bool registry_artefact(const struct registry *r, struct span id,
                                struct span owner, const char **type,
                                struct span *content);
const struct tool *registry_find(const struct registry *r, struct span name);
int registry_count(const struct registry *r);
const struct tool *registry_at(const struct registry *r, int index);
/* The schema of registry_at(index), parsed. Borrowed. */
const cJSON *registry_schema(const struct registry *r, int index);

#endif
