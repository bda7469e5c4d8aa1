/* SPDX-License-Identifier: Apache-2.0 */
/* What a process said as it gave up: libc's text when it aborts, and the C++ exception that nobody caught. */
#ifndef SPANSHIM_CRASH_LAST_WORDS_H
#define SPANSHIM_CRASH_LAST_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory;
struct modules;
struct stack;

enum { WORDS_TEXT_MAX = 1024, WORDS_TYPE_MAX = 512 };

struct last_words {
    char abort_text[WORDS_TEXT_MAX]; /* "" for none, as the others */
    char type[WORDS_TYPE_MAX];       /* of the exception, as the compiler mangles it */
    char what[WORDS_TEXT_MAX];
};

/* libc's, unless it is there already. Context: helper. */
void last_words_read_abort(struct last_words *words, const struct modules *modules, struct memory *memory);

/* The exception that std::terminate was called for, if the stack has that call. thread_pointer: the base of the crashed
 * thread's thread-local storage. Context: helper. */
void last_words_read_exception(struct last_words *words, const struct modules *modules, struct memory *memory,
                               const struct stack *stack, uint64_t thread_pointer);

#endif
