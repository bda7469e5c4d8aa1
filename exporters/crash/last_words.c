/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/last_words.h"

#include <stdint.h>

#include "exporters/crash/dynamic.h"
#include "exporters/crash/memory.h"

void last_words_read(const struct modules *modules, struct memory *memory, char *out, size_t size)
{
    /* A pointer to struct { unsigned size; char text[]; }, kept by glibc since 2.8 for those who read a dead
     * process. */
    uint64_t message = memory_word(memory, dynamic_find_any(modules, memory, "__abort_msg", NULL));

    out[0] = '\0';
    if (message)
        (void)memory_text(memory, message + sizeof(uint32_t), out, size);
}
