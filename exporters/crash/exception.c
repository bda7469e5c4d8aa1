/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/exception.h"

#include <stdio.h>
#include <string.h>

#include "exporters/crash/dynamic.h"
#include "exporters/crash/memory.h"
#include "exporters/crash/unwind.h"

enum { CODE_MAX = 48, BASES_MAX = 16, DEPTH_MAX = 16 };

/* The Itanium ABI's struct __cxa_exception: offsets in it, and from it to the object. libc++abi has two words more in
 * front of the same. */
enum { HEADER_CLASS = 80, HEADER_SIZE = 112, LIBCXX_AHEAD = 16, DEPENDENT_PRIMARY = 0 };
static const uint64_t class_gnu = 0x474e5543432b2b00, class_clang = 0x434c4e47432b2b00; /* GNUCC++, CLNGC++ */

static int32_t displacement(const uint8_t *bytes)
{
    int32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static const uint8_t *find_bytes(const uint8_t *code, size_t length, const char *wanted, size_t wanted_length)
{
    return memmem(code, length, wanted, wanted_length);
}

/* add $n,%rax or lea n(%rax),%rax, in what is left of the code. */
static int32_t added(const uint8_t *code, const uint8_t *end)
{
    const uint8_t *at = find_bytes(code, (size_t)(end - code), "\x48\x05", 2);

    if (at && end - at >= 6)
        return displacement(at + 2);
    at = find_bytes(code, (size_t)(end - code), "\x48\x8d\x80", 3);
    return at && end - at >= 7 ? displacement(at + 3) : 0;
}

/* A variable of a library's: the code passes the address of { module's number, offset } to __tls_get_addr. */
static uint64_t dynamic_variable(struct memory *memory, uint64_t thread_pointer, uint64_t index, int32_t more)
{
    uint64_t number = memory_word(memory, index), offset = memory_word(memory, index + 8);
    uint64_t vector = memory_word(memory, thread_pointer + 8); /* of pairs; glibc's tcbhead_t */
    uint64_t block = number && number < 65536 ? memory_word(memory, vector + number * 16) : 0;

    return block && block != UINT64_MAX ? block + offset + (uint64_t)(int64_t)more : 0;
}

/* Where a function that returns the address of a thread-local variable finds it, by its code: compilers have one way
 * for each of the models of thread-local storage. 0: none that is known. */
static uint64_t thread_variable(struct memory *memory, uint64_t function, uint64_t size, uint64_t thread_pointer)
{
    uint8_t code[CODE_MAX];
    size_t length = size && size < CODE_MAX ? size : CODE_MAX;
    const uint8_t *end = code + length, *at;

    if (memory_read(memory, function, code, length))
        return 0;
    at = find_bytes(code, length, "\x48\x8d\x3d", 3); /* lea index(%rip),%rdi */
    if (at && end - at >= 12) {
        uint64_t next = function + (uint64_t)(at - code) + 7;

        return dynamic_variable(memory, thread_pointer, next + (uint64_t)(int64_t)displacement(at + 3),
                                added(at + 7, end));
    }
    at = find_bytes(code, length, "\x48\x8b\x05", 3); /* mov offset(%rip),%rax: in the thread's static block */
    if (!at)
        at = find_bytes(code, length, "\x48\x03\x05", 3); /* add */
    if (at && end - at >= 7) {
        uint64_t next = function + (uint64_t)(at - code) + 7;

        return thread_pointer + memory_word(memory, next + (uint64_t)(int64_t)displacement(at + 3));
    }
    at = find_bytes(code, length, "\x64\x48\x8b\x04\x25", 5); /* mov %fs:0,%rax: in the program itself */
    return at ? thread_pointer + (uint64_t)(int64_t)added(at + 9 < end ? at + 9 : end, end) : 0;
}

static bool is_on(const struct stack *stack, uint64_t function, uint64_t size)
{
    for (size_t i = 0; function && i < stack->count; i++) {
        uint64_t at = stack->frames[i].address - stack->frames[i].is_return;

        if (at >= function && at < function + size)
            return true;
    }
    return false;
}

static uint64_t type_name(struct memory *memory, uint64_t type)
{
    uint64_t name = memory_word(memory, type + 8);
    char first = '\0';

    (void)memory_read(memory, name, &first, 1);
    return name + (first == '*'); /* a name that is only compared by its address */
}

static bool is_named(struct memory *memory, uint64_t type, const char *wanted)
{
    char name[64];

    return memory_text(memory, type_name(memory, type), name, sizeof(name)) > 0 && !strcmp(name, wanted);
}

/* How a type's bases are described is told by the type of its type_info, which is where a vtable has it. */
static uint64_t kind_of(struct memory *memory, uint64_t type)
{
    return memory_word(memory, memory_word(memory, type) - 8);
}

/* The first base, as deep as it goes, that keeps its message as data: its offset in the object, or -1. */
static int64_t find_message_base(struct memory *memory, uint64_t type, int depth)
{
    uint64_t kind = kind_of(memory, type);
    int64_t offset = -1;
    uint32_t count = 0;

    if (is_named(memory, type, "St13runtime_error") || is_named(memory, type, "St11logic_error"))
        return 0;
    if (depth == DEPTH_MAX)
        return -1;
    if (is_named(memory, kind, "N10__cxxabiv120__si_class_type_infoE"))
        return find_message_base(memory, memory_word(memory, type + 16), depth + 1);
    if (!is_named(memory, kind, "N10__cxxabiv121__vmi_class_type_infoE") ||
        memory_read(memory, type + 20, &count, sizeof(count)))
        return -1;
    for (uint32_t i = 0; i < count && i < BASES_MAX && offset < 0; i++) {
        int64_t flags = (int64_t)memory_word(memory, type + 32 + 16 * (uint64_t)i);

        if (flags & 1) /* a virtual base: where it is, only the object's vtable knows */
            continue;
        offset = find_message_base(memory, memory_word(memory, type + 24 + 16 * (uint64_t)i), DEPTH_MAX - 1);
        offset = offset < 0 ? -1 : offset + (flags >> 8);
    }
    return offset;
}

/* std::string has { bytes, length }; the older one, and what exceptions keep, the bytes only. */
static void read_what(struct exception *exception, struct memory *memory, uint64_t type, uint64_t object)
{
    static const char string_type[] = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE";
    int64_t offset = find_message_base(memory, type, 0);
    int32_t number;

    if (offset >= 0) /* behind the vtable's pointer */
        (void)memory_text(memory, memory_word(memory, object + (uint64_t)offset + 8), exception->what,
                          sizeof(exception->what));
    else if (!strcmp(exception->type, string_type) || !strcmp(exception->type, "PKc") || !strcmp(exception->type, "Pc"))
        (void)memory_text(memory, memory_word(memory, object), exception->what, sizeof(exception->what));
    else if (!strcmp(exception->type, "i") && !memory_read(memory, object, &number, sizeof(number)))
        (void)snprintf(exception->what, sizeof(exception->what), "%d", number);
}

static void read_header(struct exception *exception, struct memory *memory, uint64_t header)
{
    uint64_t type, object;

    if ((memory_word(memory, header + LIBCXX_AHEAD + HEADER_CLASS) | 1) == (class_clang | 1))
        header += LIBCXX_AHEAD;
    else if ((memory_word(memory, header + HEADER_CLASS) | 1) != (class_gnu | 1))
        return; /* of another language */
    object = header + HEADER_SIZE;
    if (memory_word(memory, header + HEADER_CLASS) & 1) { /* thrown again: it only points to the first one */
        object = memory_word(memory, header + DEPENDENT_PRIMARY);
        header = object - HEADER_SIZE;
    }
    type = memory_word(memory, header);
    if (memory_text(memory, type_name(memory, type), exception->type, sizeof(exception->type)) > 0)
        read_what(exception, memory, type, object);
}

/* By std::terminate, or, at the edge of a function that is noexcept, by the runtime while it looks for a handler. */
static bool is_terminated(const struct modules *modules, struct memory *memory, const struct stack *stack)
{
    uint64_t size = 0, terminate = dynamic_find_any(modules, memory, "_ZSt9terminatev", &size), search;

    if (!terminate || is_on(stack, terminate, size))
        return terminate != 0;
    search = dynamic_find_any(modules, memory, "__gxx_personality_v0", &size);
    return is_on(stack, search, size);
}

void exception_read(struct exception *exception, const struct modules *modules, struct memory *memory,
                    const struct stack *stack, uint64_t thread_pointer)
{
    uint64_t size = 0, globals, variable, header;

    if (!is_terminated(modules, memory, stack))
        return;
    globals = dynamic_find_any(modules, memory, "__cxa_get_globals", &size);
    variable = globals ? thread_variable(memory, globals, size, thread_pointer) : 0;
    header = memory_word(memory, variable); /* caughtExceptions: it counts as caught while the program is terminated */
    if (header)
        read_header(exception, memory, header);
}
