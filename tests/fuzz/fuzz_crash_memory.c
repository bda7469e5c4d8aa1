/* SPDX-License-Identifier: Apache-2.0 */
/* A crashed process with hostile memory: this one's own, but that some bytes of its stack and of this program's image,
 * with headers, unwind tables and symbols, were changed. Input: changes of 4 bytes: where (3 bytes; the highest bit:
 * in the stack), value. */
#include "exporters/crash/dynamic.h"
#include "exporters/crash/exception.h"
#include "exporters/crash/last_words.h"
#include "exporters/crash/panic.h"
#include "exporters/crash/unwind.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_BYTES = 16 << 10, IMAGE_BYTES = 1 << 20 };

struct target {
    struct maps maps;
    struct memory memory;
    struct modules modules;
    uint64_t registers[REGISTERS];
};

static uint8_t stack[STACK_BYTES], image[IMAGE_BYTES];

static void take_registers(uint64_t registers[REGISTERS])
{
    static const uint8_t order[REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                             REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                             REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    ucontext_t context;

    (void)getcontext(&context);
    for (int i = 0; i < REGISTERS; i++)
        registers[i] = (uint64_t)context.uc_mcontext.gregs[order[i]];
}

static size_t readable(struct memory *memory, uint64_t address, uint8_t *out, size_t size)
{
    size_t length = 0;

    while (length < size && !memory_read(memory, address + length, out + length, 4096))
        length += 4096;
    return length;
}

static uint64_t own_image(const struct maps *maps)
{
    const struct mapping *code = maps_find(maps, (uint64_t)(uintptr_t)&take_registers);
    size_t first = (size_t)(code - maps->list);

    while (first && maps->list[first].offset)
        first--;
    return maps->list[first].start;
}

static void change(const uint8_t *data, size_t size, size_t image_length, size_t stack_length)
{
    for (size_t i = 0; i + 4 <= size; i += 4) {
        size_t at = (size_t)(data[i] & 0x7f) << 16 | (size_t)data[i + 1] << 8 | data[i + 2];

        if (data[i] & 0x80 && stack_length)
            stack[at % stack_length] = data[i + 3];
        else if (image_length)
            image[at % image_length] = data[i + 3];
    }
}

static void read_target(struct target *target)
{
    struct timespec now;
    struct exception exception = {0};
    struct stack frames = {0};
    struct unwinder *unwinder;
    struct panic_text panic;
    char text[256];

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (modules_read(&target->modules, &target->maps, &target->memory))
        return;
    unwinder = unwinder_new(&target->memory, &target->maps, &target->modules, ((uint64_t)now.tv_sec + 1) * 1000000000u);
    if (unwinder && !unwind(unwinder, target->registers, &frames))
        exception_read(&exception, &target->modules, &target->memory, &frames,
                       (uint64_t)(uintptr_t)__builtin_thread_pointer());
    last_words_read(&target->modules, &target->memory, text, sizeof(text));
    panic_read(&target->memory, target->registers[REGISTER_SP], &panic);
    free(frames.frames);
    unwinder_free(unwinder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target target = {.memory.pid = getpid()};
    uint64_t image_at, stack_at;
    size_t image_length, stack_length;

    if (size > 4096 || maps_read(&target.maps, getpid()))
        return 0;
    take_registers(target.registers);
    image_at = own_image(&target.maps);
    stack_at = target.registers[REGISTER_SP] & ~(uint64_t)4095;
    image_length = readable(&target.memory, image_at, image, sizeof(image));
    stack_length = readable(&target.memory, stack_at, stack, sizeof(stack));
    change(data, size, image_length, stack_length);
    memory_add(&target.memory, image_at, image, image_length);
    memory_add(&target.memory, stack_at, stack, stack_length);
    read_target(&target);
    modules_deinit(&target.modules);
    memory_deinit(&target.memory);
    maps_deinit(&target.maps);
    return 0;
}
