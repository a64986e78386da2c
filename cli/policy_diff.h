/* policy_diff.h - the same rows under two policies: which of them fare
 * otherwise. For `corral policy diff`. */
#ifndef CORRAL_CLI_POLICY_DIFF_H
#define CORRAL_CLI_POLICY_DIFF_H

#include "cli/judge.h"

/* Judge each row of `data` ("-": standard input) under options->policy and
 * options->other, and print the rows of which another part passes: another
 * action, or another text left by a redaction. The result is an exit code:
 * EXIT_NO when there are such rows, EXIT_TROUBLE when a row could not be read
 * or judged; -1 with `err` when nothing could be done. */
MUST_USE int policy_diff(const struct judge_options *options, const char *data,
                         bool json, struct err *err);

#endif
