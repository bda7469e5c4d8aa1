/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of `spanshim` share: exit statuses, messages, and the commands themselves. */
#ifndef SPANSHIM_CLI_H
#define SPANSHIM_CLI_H

#include <stdbool.h>

enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,
    CLI_EXIT_USAGE = 2,            /* of every command but run and doctor */
    CLI_EXIT_LAUNCHER = 125,       /* these two: spanshim itself failed */
    CLI_EXIT_NOT_EXECUTABLE = 126, /* the program was found and cannot be executed */
    CLI_EXIT_NOT_FOUND = 127,      /* there is no such program */
};

/* Occupy what of the descriptors 0 to 2 the launcher was started without, until exec: a socket of ours must not be
 * taken for the program's output. Context: start. */
void cli_hold_standard_descriptors(void);

/* Whether the launcher was started with a standard error. Context: any, after cli_hold_standard_descriptors(). */
bool cli_has_stderr(void);

/* One line on standard error, "spanshim: " and a colour (on a terminal) before it. Control characters are shown as '?'.
 * Context: any. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Turn control characters into '?': names of files, programs and services may not steer the terminal. Context: any. */
void cli_mask(char *text);

/* Whether to colour what goes to this descriptor: a terminal that isn't dumb, and no NO_COLOR. Context: any. */
bool cli_has_colour(int fd);

/* Refuse further arguments of a command that takes none: false after saying so. Context: any. */
bool cli_no_arguments(const char *command, int argc, char **argv);

/* The commands: argv[0] is the command's name; the result is the exit status. Context: main thread. */
int run_command(int argc, char **argv);
int lib_command(int argc, char **argv);
int settings_command(int argc, char **argv);
int status_command(int argc, char **argv);
int flush_command(int argc, char **argv);
int report_command(int argc, char **argv);
int stop_command(int argc, char **argv);
int log_command(int argc, char **argv);
int purge_command(int argc, char **argv);
int crashes_command(int argc, char **argv);
int doctor_command(int argc, char **argv);

#endif
