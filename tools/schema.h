/* schema.h - JSON Schema, the part that tools use: is a value valid? A model
 * elsewhere may send any arguments, so they are checked before a tool runs.
 * Fails closed: a keyword that is not known here is refused by schema_check(),
 * and a value is never valid for a schema that it would refuse. */
#ifndef CORRAL_TOOLS_SCHEMA_H
#define CORRAL_TOOLS_SCHEMA_H

#include "base/json.h"

/* type, properties, required, additionalProperties false, true or a schema,
 * items, minItems/maxItems, enum, const, anyOf/oneOf, minLength/maxLength,
 * minimum/maximum, and what only annotates. Extra properties are allowed only
 * when additionalProperties says so. ERR_UNSUPPORTED for others, ERR_INPUT for
 * nonsense; err.field names the place. */
MUST_USE bool schema_check(const cJSON *schema, struct err *err);
/* ERR_INPUT with the reason, which a model may read. */
MUST_USE bool schema_validate(const cJSON *schema, const cJSON *value,
                              struct err *err);

#endif
