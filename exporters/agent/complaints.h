/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a program's settings: one line each, with the variable, its value (never a secret's) and what is
 * used instead. They stand in struct settings; the agent logs and `spanshim status` shows them, the launcher says them
 * before it starts the program. */
#ifndef SPANSHIM_COMPLAINTS_H
#define SPANSHIM_COMPLAINTS_H

#include <stddef.h>

struct config; /* preload/config.h */
struct settings;
struct settings_row;

/* Add a line; where there is no room for it, a last one says that there are more. Context: loop. */
void complaints_add(struct settings *settings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The value of this row is not what its type and range ask for. Context: loop. */
void complaints_add_value(struct settings *settings, const struct settings_row *row, const char *value);

/* What the shim made of its own settings: it has nowhere to say it. Context: loop. */
void complaints_add_shim(struct settings *settings, const struct config *shim);

/* SPANSHIM_* variables that are no settings: misspelt, most likely. Context: loop. */
void complaints_add_unknown(struct settings *settings, const char *const *entries, size_t entry_count);

/* What was wrong with the system's file of settings: the number of a hand-over's 'f' entry. Context: loop. */
void complaints_add_file(struct settings *settings, const char *problem);

#endif
