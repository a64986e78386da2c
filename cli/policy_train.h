/* policy_train.h - fits the heads of a policy's examples checks and says how
 * well they do. For `corral policy train`. */
#ifndef CORRAL_CLI_POLICY_TRAIN_H
#define CORRAL_CLI_POLICY_TRAIN_H

#include "cli/judge.h"

/* Train every examples check of options->policy and of what it extends, write
 * the heads beside the policies and print the cross-validated figures. An exit
 * code, or -1 with `err`. */
MUST_USE int policy_train(const struct judge_options *options, bool json,
                          struct err *err);

#endif
