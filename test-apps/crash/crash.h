/* SPDX-License-Identifier: Apache-2.0 */
/* A program that crashes as its command line says: crasher [-w] FAULT [PLACE [HANDLER]]. What goes wrong, where in the
 * program, and what handler of its own the program has are tables; any row of one goes with any row of the others. With
 * -w it waits to be told by a line first. */
#ifndef TEST_APPS_CRASH_H
#define TEST_APPS_CRASH_H

/* Ends in a row without a name. */
struct crash_row {
    const char *name;
    void (*run)(void);
};

extern const struct crash_row crash_faults[]; /* do what is wrong; may return */
extern const struct crash_row crash_places[]; /* call crash_fault() somewhere */
extern const struct crash_row
    crash_conditions[];                         /* call it after something that makes its report harder: also places */
extern const struct crash_row crash_handlers[]; /* install a handler for the signals of crash_signals */

/* The signals of crashes; ends in 0. */
extern const int crash_signals[];

/* Where the fault is to happen before main or after it: a place that only says so. */
enum crash_moment { CRASH_NOW, CRASH_IN_DESTRUCTOR, CRASH_IN_ATEXIT };
extern enum crash_moment crash_moment;

/* Do what the command line asks for. Context: any. */
void crash_fault(void);

/* The row of this name, or NULL. Context: any. */
const struct crash_row *crash_find(const struct crash_row *rows, const char *name);

/* Write a line to standard output, at once. Context: signal-safe. */
void crash_say(const char *line);

/* Threads that sleep until the process ends. Context: start. */
void crash_sleepers(int count);

#endif
