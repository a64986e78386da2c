/* registry.h - the tools there are. Filled at start, read-only afterwards. */
#ifndef CORRAL_TOOLS_REGISTRY_H
#define CORRAL_TOOLS_REGISTRY_H

#include "tools/tool.h"

enum { REGISTRY_TOOLS_MAX = 64 };

struct registry;

struct registry *registry_new(void); /* empty */
void registry_free(struct registry *r);
/* Borrows `tool`. ERR_INPUT for a bad name or schema, or a name taken. */
MUST_USE bool registry_add(struct registry *r, const struct tool *tool,
                           struct err *err);
/* A built-in tool by name ("calculator", "time"); ERR_NOT_FOUND. */
MUST_USE bool registry_add_builtin(struct registry *r, const char *name,
                                   struct err *err);
const struct tool *registry_find(const struct registry *r, struct span name);
int registry_count(const struct registry *r);
const struct tool *registry_at(const struct registry *r, int index);
/* The schema of registry_at(index), parsed. Borrowed. */
const cJSON *registry_schema(const struct registry *r, int index);

#endif
