/* command.h - the sub-commands. Each parses its own options, does its work and
 * returns an enum exit_code; argv[0] is the command's name. */
#ifndef CORRAL_CLI_COMMAND_H
#define CORRAL_CLI_COMMAND_H

int cmd_audit(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);

#endif
