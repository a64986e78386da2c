/* cmd_config.c - a configuration file looked at before a server runs with it.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options.h"
#include "guard/policy.h"
#include "proxy/config.h"
#include "proxy/keys.h"

/* What the file names is read, too: a server would not start without it. */
static bool check_named(const struct config *c, struct err *err) {
    struct keys keys = {0};
    struct policy *policy;

    if (c->keys && !keys_read(&keys, c->keys, err)) return false;
    keys_clear(&keys);
    if (!c->policy) return true;
    policy = policy_open(c->policy, err);
    policy_free(policy);
    return policy != NULL;
}

static bool check(const char *path, struct err *err) {
    struct config c;
    bool ok;

    config_init(&c);
    ok = config_load(&c, path, err) && config_check(&c, err) &&
         check_named(&c, err);
    config_clear(&c);
    if (ok) (void)printf("%s: fine\n", path);
    return ok;
}

int cmd_config(int argc, char **argv) {
    const char *args[OPTION_ARGS_MAX];
    const struct options options = {
        "corral config check FILE",
        "Reads a configuration, the policy and the keys that it names, and "
        "says what is\nwrong, with line and column. Nothing is started.",
        NULL,
        0,
        2,
        2,
    };
    struct err err = {0};
    int code, count;

    code = options_parse(&options, argc, argv, args, &count);
    if (code >= 0) return code;
    if (strcmp(args[0], "check") != 0) {
        (void)err_set(&err, ERR_INPUT, "config: expected check");
        return options_fail(&err);
    }
    return check(args[1], &err) ? EXIT_FINE : options_fail(&err);
}
