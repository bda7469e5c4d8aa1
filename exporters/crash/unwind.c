/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/unwind.h"

#include <errno.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exporters/agent/clock.h"

enum {
    STEPS_MAX = 250000,
    STEPS_DOWN_MAX = 64, /* steps to a lower stack: of signals and coroutines there are few, of a circle endless ones */
    SCAN_WORDS = 2048,
    SCANS_MAX = 32,
    FRAME_POINTER_REACH = 1 << 20,
};

struct unwinder {
    struct memory *memory;
    const struct maps *maps;
    const struct modules *modules;
    uint64_t deadline_ns;
    unw_addr_space_t space;
    uint64_t registers[REGISTERS]; /* where the cursor starts */
    bool no_table;                 /* the last step found no unwind table: what libunwind guessed then isn't wanted */
    size_t scans;
};

/* A walk along one stack. */
struct walk {
    unw_cursor_t cursor;
    struct frame next;
    uint64_t sp;
    size_t steps, steps_down;
    struct stack *stack;
    struct frame tail[FRAMES_TAIL]; /* a ring: the last ones beyond the head */
};

/* Exported by libunwind, and in no header of its own. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *table,
                                       unw_proc_info_t *ret_info, int need_info, void *arg);

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *info, int need_info, void *arg)
{
    struct unwinder *unwinder = arg;
    const struct module *module = modules_find(unwinder->modules, ip);
    int err = -UNW_ENOINFO;

    if (module && module->eh_count) {
        unw_dyn_info_t table = {
            .start_ip = module->base, .end_ip = module->end, .format = UNW_INFO_FORMAT_REMOTE_TABLE};

        table.u.rti.segbase = module->eh_header;
        table.u.rti.table_data = module->eh_header + 12;
        table.u.rti.table_len = module->eh_count * 8 / sizeof(unw_word_t);
        err = UNW_OBJ(dwarf_search_unwind_table)(space, ip, &table, info, need_info, arg);
    }
    unwinder->no_table |= err < 0;
    return err;
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *arg)
{
    (void)space, (void)info, (void)arg; /* it is of libunwind's own pool, and libunwind gives it back */
}

static int get_dyn_info_list(unw_addr_space_t space, unw_word_t *ret_list, void *arg)
{
    (void)space, (void)ret_list, (void)arg;
    return -UNW_ENOINFO;
}

static int access_memory(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write, void *arg)
{
    struct unwinder *unwinder = arg;

    (void)space;
    if (write)
        return -UNW_EREADONLYREG;
    if (!memory_read(unwinder->memory, address, value, sizeof(*value)))
        return 0;
    /* A copy lacks writable data, where the tables look for the address of C++'s personality routine: it isn't used. */
    *value = 0;
    return unwinder->memory->pid || !modules_find(unwinder->modules, address) ? -UNW_EINVAL : 0;
}

static int access_register(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write, void *arg)
{
    struct unwinder *unwinder = arg;

    (void)space;
    if (write)
        return -UNW_EREADONLYREG;
    if (number < 0 || number >= REGISTERS)
        return -UNW_EBADREG;
    *value = unwinder->registers[number];
    return 0;
}

static int access_fp_register(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write, void *arg)
{
    (void)space, (void)number, (void)value, (void)write, (void)arg;
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *arg)
{
    (void)space, (void)cursor, (void)arg;
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t space, unw_word_t address, char *name, size_t size, unw_word_t *ret_offset,
                         void *arg)
{
    (void)space, (void)address, (void)name, (void)size, (void)ret_offset, (void)arg;
    return -UNW_ENOINFO;
}

struct unwinder *unwinder_new(struct memory *memory, const struct maps *maps, const struct modules *modules,
                              uint64_t deadline_ns)
{
    static unw_accessors_t accessors = {
        .find_proc_info = find_proc_info,
        .put_unwind_info = put_unwind_info,
        .get_dyn_info_list_addr = get_dyn_info_list,
        .access_mem = access_memory,
        .access_reg = access_register,
        .access_fpreg = access_fp_register,
        .resume = resume,
        .get_proc_name = get_proc_name,
    }; /* constant; libunwind's interface wants it writable */
    struct unwinder *unwinder = calloc(1, sizeof(*unwinder));

    if (!unwinder)
        return NULL;
    *unwinder = (struct unwinder){.memory = memory, .maps = maps, .modules = modules, .deadline_ns = deadline_ns};
    unwinder->space = unw_create_addr_space(&accessors, 0);
    if (!unwinder->space) {
        free(unwinder);
        return NULL;
    }
    (void)unw_set_caching_policy(unwinder->space, UNW_CACHE_GLOBAL);
    return unwinder;
}

static bool is_code(const struct unwinder *unwinder, uint64_t address)
{
    return maps_is_executable(unwinder->maps, address);
}

/* Do the bytes before it call? E8 is a near call; FF /2 one through a register or memory, 2 to 7 bytes long. */
static bool follows_call(struct unwinder *unwinder, uint64_t address)
{
    uint8_t bytes[7];

    if (memory_read(unwinder->memory, address - sizeof(bytes), bytes, sizeof(bytes)))
        return false;
    if (bytes[2] == 0xe8)
        return true;
    for (size_t length = 2; length <= sizeof(bytes); length++) {
        const uint8_t *call = bytes + sizeof(bytes) - length;
        unsigned mode = call[1] >> 6, base = call[1] & 7;
        size_t wanted = 2 + (mode != 3 && base == 4) + (mode == 1 ? 1 : mode == 2 ? 4 : mode == 0 && base == 5 ? 4 : 0);

        if (call[0] == 0xff && (call[1] >> 3 & 7) == 2 && wanted == length)
            return true;
    }
    return false;
}

static bool is_return_address(struct unwinder *unwinder, uint64_t address)
{
    return is_code(unwinder, address) && follows_call(unwinder, address);
}

static void get_registers(unw_cursor_t *cursor, uint64_t registers[REGISTERS])
{
    for (int i = 0; i < REGISTERS; i++) {
        unw_word_t value = 0;

        (void)unw_get_reg(cursor, i, &value);
        registers[i] = value;
    }
}

/* The cursor stands at unwinder->registers. A return address is looked up as the call before it, as libunwind does
 * for frames that it found itself. */
static bool start(struct unwinder *unwinder, struct walk *walk, enum frame_found found, bool is_return)
{
    walk->next = (struct frame){unwinder->registers[REGISTER_IP], found, is_return};
    unwinder->registers[REGISTER_IP] -= is_return;
    return unw_init_remote(&walk->cursor, unwinder->space, unwinder) == 0;
}

/* A call to where no code is has pushed its return address, and done nothing else. */
static bool return_from_bad_call(struct unwinder *unwinder, struct walk *walk)
{
    uint64_t *registers = unwinder->registers;
    uint64_t back = memory_word(unwinder->memory, registers[REGISTER_SP]);

    if (!is_return_address(unwinder, back))
        return false;
    registers[REGISTER_IP] = back;
    registers[REGISTER_SP] += 8;
    return start(unwinder, walk, FOUND_CONTEXT, true);
}

static bool by_frame_pointer(struct unwinder *unwinder, struct walk *walk)
{
    uint64_t *registers = unwinder->registers;
    uint64_t bp = registers[REGISTER_BP], sp = registers[REGISTER_SP];
    uint64_t frame[2];

    if (bp % 8 || bp < sp || bp - sp > FRAME_POINTER_REACH || memory_read(unwinder->memory, bp, frame, sizeof(frame)) ||
        !is_return_address(unwinder, frame[1]))
        return false;
    registers[REGISTER_BP] = frame[0];
    registers[REGISTER_SP] = bp + 16;
    registers[REGISTER_IP] = frame[1];
    return start(unwinder, walk, FOUND_FRAME_POINTER, true);
}

static bool by_scan(struct unwinder *unwinder, struct walk *walk)
{
    uint64_t *registers = unwinder->registers;
    uint64_t sp = (registers[REGISTER_SP] + 7) & ~(uint64_t)7;

    if (unwinder->scans++ >= SCANS_MAX)
        return false;
    for (size_t i = 0; i < SCAN_WORDS; i++, sp += 8) {
        uint64_t word;

        if (memory_read(unwinder->memory, sp, &word, sizeof(word)))
            return false;
        if (!is_return_address(unwinder, word))
            continue;
        registers[REGISTER_IP] = word;
        registers[REGISTER_SP] = sp + 8;
        return start(unwinder, walk, FOUND_SCAN, true);
    }
    return false;
}

/* Where the tables know nothing, or lead nowhere. */
static bool step_without_table(struct unwinder *unwinder, struct walk *walk, unw_cursor_t *before)
{
    get_registers(before, unwinder->registers);
    return by_frame_pointer(unwinder, walk) || by_scan(unwinder, walk);
}

/* Callers are further up; only signals may have come on a stack of their own. */
static bool is_above(unw_cursor_t *caller, unw_cursor_t *callee)
{
    unw_word_t upper = 0, lower = 0;

    return !unw_get_reg(caller, UNW_REG_SP, &upper) && !unw_get_reg(callee, UNW_REG_SP, &lower) && upper > lower;
}

/* To the caller. False: there is none, or it can't be found (*ret_lost). */
static bool step(struct unwinder *unwinder, struct walk *walk, bool *ret_lost)
{
    unw_cursor_t before = walk->cursor;
    bool from_signal = unw_is_signal_frame(&before) > 0;
    unw_word_t ip = 0;
    int more;

    unwinder->no_table = false;
    more = unw_step(&walk->cursor);
    *ret_lost = false;
    if (more == 0 && !unwinder->no_table)
        return false;
    (void)unw_get_reg(&walk->cursor, UNW_REG_IP, &ip);
    if (more > 0 && !unwinder->no_table && is_code(unwinder, ip) && (from_signal || is_above(&walk->cursor, &before))) {
        walk->next = (struct frame){ip, FOUND_CFI, !from_signal};
        return true;
    }
    if (more > 0 && from_signal) { /* the signal came from a call to where no code is */
        get_registers(&walk->cursor, unwinder->registers);
        walk->next = (struct frame){ip, FOUND_CFI, false};
        return start(unwinder, walk, FOUND_CFI, false);
    }
    *ret_lost = !step_without_table(unwinder, walk, &before);
    return !*ret_lost;
}

static void keep(struct walk *walk)
{
    struct stack *stack = walk->stack;

    if (stack->count < FRAMES_HEAD)
        stack->frames[stack->count++] = walk->next;
    else
        walk->tail[stack->left_out++ % FRAMES_TAIL] = walk->next;
}

/* The ring's frames behind the head. */
static void keep_tail(struct walk *walk)
{
    struct stack *stack = walk->stack;
    uint64_t seen = stack->left_out, kept = seen < FRAMES_TAIL ? seen : FRAMES_TAIL;

    stack->left_out = seen - kept;
    for (uint64_t i = seen - kept; i < seen; i++)
        stack->frames[stack->count++] = walk->tail[i % FRAMES_TAIL];
}

static bool is_over(struct unwinder *unwinder, struct walk *walk)
{
    unw_word_t sp = 0;

    (void)unw_get_reg(&walk->cursor, UNW_REG_SP, &sp);
    walk->steps_down += walk->steps && sp <= walk->sp;
    walk->sp = sp;
    return ++walk->steps > STEPS_MAX || walk->steps_down > STEPS_DOWN_MAX ||
           (walk->steps % 256 == 0 && clock_now_ns(CLOCK_MONOTONIC) > unwinder->deadline_ns);
}

static void walk_stack(struct unwinder *unwinder, struct walk *walk)
{
    struct stack *stack = walk->stack;
    bool more = start(unwinder, walk, FOUND_CONTEXT, false);

    while (more) {
        keep(walk);
        stack->cut = is_over(unwinder, walk);
        if (stack->cut)
            break;
        if (!walk->next.is_return && !is_code(unwinder, walk->next.address) && return_from_bad_call(unwinder, walk))
            continue;
        more = step(unwinder, walk, &stack->lost);
    }
    keep_tail(walk);
}

int unwind(struct unwinder *unwinder, const uint64_t registers[REGISTERS], struct stack *ret_stack)
{
    struct walk *walk = calloc(1, sizeof(*walk));

    *ret_stack = (struct stack){.frames = calloc(FRAMES_HEAD + FRAMES_TAIL, sizeof(struct frame))};
    if (!walk || !ret_stack->frames) {
        free(walk);
        return -ENOMEM;
    }
    walk->stack = ret_stack;
    unwinder->scans = 0;
    memcpy(unwinder->registers, registers, sizeof(unwinder->registers));
    walk_stack(unwinder, walk);
    free(walk);
    return 0;
}

void unwinder_free(struct unwinder *unwinder)
{
    if (unwinder && unwinder->space)
        unw_destroy_addr_space(unwinder->space);
    free(unwinder);
}
