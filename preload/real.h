/* SPDX-License-Identifier: Apache-2.0 */
/* The function behind each hook of libc (for other libraries see provider.h). Found by walking the loaded objects' own
 * symbol tables: no dlsym (it allocates on a miss and sets a floor for glibc's version), no heap, no lock of ours. What
 * an object between us and libc defines is found at start, libc's own when it is called first.
 *
 * Before that, and when it can't be found, the original is a raw system call; never a null pointer. Even before our own
 * relocations are processed (a resolver of an indirect function may call read()) this holds. */
#ifndef SPANSHIM_REAL_H
#define SPANSHIM_REAL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum hook_id {
#define HOOK_ROW(symbol, library, raw, safe) HOOK_##symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
    HOOK_COUNT
};

/* Written by real_init and real_early; an entry is written once. */
extern void *real_table[HOOK_COUNT] __attribute__((visibility("hidden")));

/* libc's own clock_gettime, NULL when it was not found. By its name we might get that of a preload that makes the
 * program believe in another time (libfaketime): our times must be the agent's, and its code may not have been
 * initialised yet. Written by real_init, then read-only. */
extern __typeof__(&clock_gettime) real_clock __attribute__((visibility("hidden")));

/* libc's __abort_msg, a pointer to its last words; NULL when it was not found. Written by real_init, then read-only. */
extern const void *real_abort_message __attribute__((visibility("hidden")));

/* libc's abort(), from its first byte on, so many bytes; 0 when it was not found. Written by real_init, then
 * read-only. */
extern uintptr_t real_abort __attribute__((visibility("hidden")));
extern size_t real_abort_size __attribute__((visibility("hidden")));

/* glibc's standard output, the stream itself; NULL when libc is another one. Written by real_init, then read-only. */
extern void *real_stdout __attribute__((visibility("hidden")));

/* libc's vsnprintf(), NULL when it was not found. Written by real_init, then read-only. */
typedef int real_vsnprintf_function(char *out, size_t size, const char *format, va_list arguments);
extern real_vsnprintf_function *real_vsnprintf __attribute__((visibility("hidden")));

/* The same with the checks that a program compiled with _FORTIFY_SOURCE asks for by the flag. */
typedef int real_vsnprintf_chk_function(char *out, size_t size, int flag, size_t out_size, const char *format,
                                        va_list arguments);
extern real_vsnprintf_chk_function *real_vsnprintf_chk __attribute__((visibility("hidden")));

/* How many objects the program was started with, ours and the kernel's among them: the first ones of the loader's list.
 * Written by real_init, then read-only. */
extern int real_startup_objects __attribute__((visibility("hidden")));

/* The symbol's name: always the same pointer. Context: pure; signal-safe. */
const char *real_name(enum hook_id id);

/* Fill the table with what stands before libc, and find libc. False when an older copy of this object is loaded
 * before ours: that one works, we only forward. Context: start. */
bool real_init(void);

/* The original of a hook that is not in the table: looked up now, or a raw system call. Never NULL. errno stays. No
 * lock is taken for what libc defines. Context: hook; signal-safe. */
__attribute__((cold, noinline)) void *real_early(enum hook_id id);

/* What stands in for an original that can't be found: a raw system call, or a function that fails. Context: hook;
 * signal-safe. */
void *real_stand_in(enum hook_id id);

/* The original, as the symbol's own type. */
#define REAL(symbol)                                                                                                   \
    ((__typeof__(&symbol))(__builtin_expect(real_table[HOOK_##symbol] != NULL, 1) ? real_table[HOOK_##symbol]          \
                                                                                  : real_early(HOOK_##symbol)))

#endif
