/* options.h - a command line against a table of options: long names with
 * `--name VALUE` or `--name=VALUE`, letters with `-x VALUE`, and the rest as
 * arguments. `--` ends the options. The table also makes the help text. */
#ifndef CORRAL_CLI_OPTIONS_H
#define CORRAL_CLI_OPTIONS_H

#include "base/err.h"

/* What every command ends with. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_NO = 1,        /* the answer is no: blocked, a test failed */
    EXIT_WRONG_USE = 2, /* also a bad configuration, policy or model file */
    EXIT_TROUBLE = 3
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_INT, OPTION_NUMBER };

enum { OPTION_ARGS_MAX = 64 };

struct option {
    const char *name;
    char letter; /* or 0 */
    enum option_kind kind;
    void *out; /* bool, const char *, int, double; untouched when not given */
    double least; /* OPTION_INT and OPTION_NUMBER: from, to */
    double most;
    const char *value; /* what the help calls it: "FILE" */
    const char *help;
};

struct options {
    const char *synopsis; /* "corral check [OPTIONS] TEXT" */
    const char *about;    /* what the command does; may have several lines */
    const struct option *list;
    int count;
    int args_least; /* arguments that are no options: from, to */
    int args_most;
};

/* Parse argv[1..argc). The arguments are borrowed from argv into `args` and
 * counted in *arg_count. Returns -1 when the command should go on; otherwise
 * the help or what was wrong has been printed, and the result is the exit
 * code. */
int options_parse(const struct options *o, int argc, char **argv,
                  const char *args[OPTION_ARGS_MAX], int *arg_count);

/* Print "corral: reason" on standard error, and the exit code it stands for:
 * EXIT_WRONG_USE for what somebody gave us, EXIT_TROUBLE for the rest. */
int options_fail(const struct err *err);

#endif
