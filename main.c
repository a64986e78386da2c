/* main.c - finds the command, runs it and makes sure that what it printed
 * arrived. Only here and in cli/ is the process ended. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "cli/command.h"
#include "cli/options.h"

struct command {
    const char *name;
    const char *about;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"serve", "the guarded OpenAI-compatible server", cmd_serve},
    {"chat", "a conversation in the terminal", cmd_chat},
    {"check", "one verdict, or one for each row of a file", cmd_check},
    {"eval", "precision, recall and their like on labelled rows", cmd_eval},
    {"policy", "lint or test policy files", cmd_policy},
    {"generate", "raw completion of a prompt", cmd_generate},
    {"tokenize", "text to token ids", cmd_tokenize},
    {"perplexity", "how well a model foresees a text", cmd_perplexity},
    {"bench", "how fast this machine runs a model", cmd_bench},
    {"audit", "check and export the record of decisions", cmd_audit},
    {"config", "check a configuration", cmd_config},
    {"key", "make, list and revoke API keys", cmd_key},
    {"model", "what a model file holds, and whether it is sound", cmd_model},
};

static void usage(FILE *out) {
    (void)fputs(
        "usage: corral COMMAND [OPTIONS]\n\n"
        "Stands between chat apps and a language model and lets nothing\n"
        "through that its policy forbids.\n\n",
        out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].about);
    (void)fputs("\n`corral COMMAND --help` has the details. Exit codes: 0 fine,"
                "\n1 the answer is no, 2 wrong use or bad input, 3 trouble.\n",
                out);
}

static int run(int argc, char **argv) {
    struct err err = {0};

    if (argc < 2) {
        usage(stderr);
        return EXIT_WRONG_USE;
    }
    if (!strcmp(argv[1], "--version")) {
        (void)puts("corral " CORRAL_VERSION);
        return EXIT_FINE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        usage(stdout);
        return EXIT_FINE;
    }
    if (!hash_init(&err)) return options_fail(&err);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    (void)fprintf(stderr, "corral: no command %s; see corral --help\n",
                  argv[1]);
    return EXIT_WRONG_USE;
}

int main(int argc, char **argv) {
    int code;

    /* A reader that left shows as a failed write, which is looked at. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* A limit on the size of files is an error of a write, not our end. */
    (void)signal(SIGXFSZ, SIG_IGN);
    code = run(argc, argv);
    if (fflush(stdout) || ferror(stdout)) {
        (void)fputs("corral: standard output could not be written\n", stderr);
        if (code == EXIT_FINE) code = EXIT_TROUBLE;
    }
    return code;
}
