/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/panic.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "exporters/crash/memory.h"

enum { UNUSED = 16 << 10, PIECE = 512, TEXT = 512 };

static const char thread_words[] = "\nthread '", panic_words[] = " panicked at ";

/* "FILE:LINE:COLUMN:\nMESSAGE\n", perhaps with a hint behind it. */
static void copy_message(const char *text, const char *end, char *out, size_t size)
{
    const char *message = memmem(text, (size_t)(end - text), ":\n", 2);
    size_t length = 0;

    if (!message)
        return;
    message += 2;
    while (message + length < end && (isprint((unsigned char)message[length]) || message[length] < 0 ||
                                      (message[length] == '\n' && strncmp(message + length, "\nnote: ", 7))))
        length++;
    while (length && message[length - 1] == '\n')
        length--;
    (void)snprintf(out, size, "%.*s", (int)length, message);
}

void panic_read(struct memory *memory, uint64_t sp, char *out, size_t size)
{
    static char bytes[UNUSED + 1]; /* of the single-threaded helper; zero where it can't be read */
    const char *thread, *words;

    out[0] = '\0';
    memset(bytes, 0, sizeof(bytes));
    for (uint64_t at = 0; at < UNUSED; at += PIECE)
        (void)memory_read(memory, sp - UNUSED + at, bytes + at, PIECE);
    words = memmem(bytes, UNUSED, panic_words, sizeof(panic_words) - 1);
    thread = memmem(bytes, UNUSED, thread_words, sizeof(thread_words) - 1);
    if (!thread || !words || thread > words)
        return;
    words += sizeof(panic_words) - 1;
    copy_message(words, words + TEXT < bytes + UNUSED ? words + TEXT : bytes + UNUSED, out, size);
}
