/* home_path.h - where scripts/setup put what it fetched. */
#ifndef CORRAL_TESTS_HOME_PATH_H
#define CORRAL_TESTS_HOME_PATH_H

#include <stdio.h>
#include <stdlib.h>

/* Overwritten by the next call. */
static const char *home_path(const char *name) {
    static char path[1024];
    const char *home = getenv("CORRAL_HOME"), *user = getenv("HOME");

    if (home)
        (void)snprintf(path, sizeof path, "%s/%s", home, name);
    else
        (void)snprintf(path, sizeof path, "%s/.cache/corral/%s",
                       user ? user : "", name);
    return path;
}

#endif
