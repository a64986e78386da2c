/* added.c - the table of a program without added tools. One that has some
 * brings its own, and the linker leaves this file in the archive. */
#include "tools/added.h"

const struct added_tool added_tools[] = {{NULL, NULL}};
