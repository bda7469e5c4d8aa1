/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/last_words.h"

#include <stdint.h>
#include <string.h>

#include "exporters/crash/dynamic.h"
#include "exporters/crash/memory.h"

void last_words_read_abort(struct last_words *words, const struct modules *modules, struct memory *memory)
{
    uint64_t message;

    if (words->abort_text[0])
        return;
    /* struct abort_msg_s { unsigned size; char text[]; } behind a pointer, in glibc since 2.8 */
    message = memory_word(memory, dynamic_find_any(modules, memory, "__abort_msg", NULL));
    if (message)
        (void)memory_text(memory, message + sizeof(uint32_t), words->abort_text, sizeof(words->abort_text));
}

void last_words_read_exception(struct last_words *words, const struct modules *modules, struct memory *memory,
                               const struct stack *stack, uint64_t thread_pointer)
{
    (void)words, (void)modules, (void)memory, (void)stack, (void)thread_pointer;
}
