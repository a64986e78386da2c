/* added.h - tools that the builder of this program adds, from files outside
 * the tree: CMake writes the table from CORRAL_TOOLS (cmake/tools.cmake). */
#ifndef CORRAL_TOOLS_ADDED_H
#define CORRAL_TOOLS_ADDED_H

#include "tools/options.h"

struct added_tool {
    const char *name;
    tool_open *open;
};

/* Ends with a name of NULL. */
extern const struct added_tool added_tools[];

#endif
