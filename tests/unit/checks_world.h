/* checks_world.h - a guard without a model and a policy out of a text, for the
 * tests of rules and streams. Included by one .c file a program. */
#ifndef CORRAL_TESTS_CHECKS_WORLD_H
#define CORRAL_TESTS_CHECKS_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "guard/guard.h"

static struct guard *guard;
static struct policy *policy;

/* 0, or -1 as a set-up that failed. */
static int checks_open(const char *text) {
    char path[] = "/tmp/test_checks_XXXXXX";
    struct guard_options options = {0};
    FILE *f = fdopen(mkstemp(path), "w");

    if (!f || fputs(text, f) < 0 || fclose(f)) return -1;
    policy = policy_open(path, NULL);
    guard = guard_open(&options, NULL);
    return unlink(path) || !policy || !guard ? -1 : 0;
}

static int checks_close(void **state) {
    (void)state;
    policy_free(policy);
    guard_close(guard);
    return 0;
}

#endif
