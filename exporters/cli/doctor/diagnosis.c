/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/diagnosis.h"

#include "exporters/cli/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void add(struct diagnosis *diagnosis, const char *code, char *text)
{
    if (diagnosis->reason_count == REASONS_MAX) {
        free(text);
        return;
    }
    diagnosis->reasons[diagnosis->reason_count++] = (struct reason){code, text};
}

static void note(struct diagnosis *diagnosis, const char *code, const char *text)
{
    add(diagnosis, code, memory_copy_text(text));
}

/* A reason of the verdict. The first "no" stays; "perhaps" gives way to it only. */
static void decide(struct diagnosis *diagnosis, enum verdict verdict, const char *code, const char *text)
{
    note(diagnosis, code, text);
    diagnosis->deciding_count = diagnosis->reason_count;
    if (diagnosis->verdict != VERDICT_NO)
        diagnosis->verdict = verdict;
}

static const char *blindness_code(enum program_blindness blindness)
{
    switch (blindness) {
    case PROGRAM_SEEN:
        return NULL;
    case PROGRAM_STATIC:
        return "static";
    case PROGRAM_FOREIGN:
        return "architecture";
    case PROGRAM_BROKEN:
        return "broken";
    case PROGRAM_GO:
        return "go";
    case PROGRAM_PRIVILEGED:
        return "privileged";
    }
    return NULL;
}

static bool is_shell(const char *path)
{
    static const char *const shells[] = {"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish"};
    const char *slash = strrchr(path, '/');

    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        if (strcmp(slash ? slash + 1 : path, shells[i]) == 0)
            return true;
    return false;
}

/* A program may load its sockets later, or get them from somewhere else: nothing here says a plain no. */
static void judge_sockets(struct diagnosis *diagnosis, const struct anatomy *anatomy)
{
    const bool *has = anatomy->hooked;
    bool accepts = has[ANATOMY_HOOK_accept] || has[ANATOMY_HOOK_accept4];
    bool reads = has[ANATOMY_HOOK_read] || has[ANATOMY_HOOK___read_chk] || has[ANATOMY_HOOK_readv] ||
                 has[ANATOMY_HOOK_recv] || has[ANATOMY_HOOK___recv_chk] || has[ANATOMY_HOOK_recvfrom] ||
                 has[ANATOMY_HOOK___recvfrom_chk] || has[ANATOMY_HOOK_recvmsg] || has[ANATOMY_HOOK_splice];

    if (anatomy->language.loads_sockets)
        return;
    if (!accepts)
        decide(diagnosis, VERDICT_PERHAPS, "no_server",
               "takes no connections as far as its files tell: requests are seen if it gets connections from a module "
               "or from another process");
    else if (!reads && has[ANATOMY_HOOK_fdopen])
        decide(diagnosis, VERDICT_PERHAPS, "stdio",
               "reads sockets by stdio (fdopen) as far as its files tell: such requests are not seen");
}

static void judge_program(struct diagnosis *diagnosis, const struct anatomy *anatomy)
{
    const struct program *program = &anatomy->program;
    const char *code = blindness_code(program->blindness);

    if (code) {
        decide(diagnosis, VERDICT_NO, code, program_blindness_text(program->blindness));
        return;
    }
    if (!program->facts.is_elf) {
        decide(diagnosis, VERDICT_PERHAPS, "unknown",
               "is no program file that can be read here: what runs it in the end decides");
        return;
    }
    if (is_shell(program->image)) {
        decide(diagnosis, VERDICT_PERHAPS, "shell",
               program->is_script ? "is a shell script: ask for the program that it starts"
                                  : "is a shell: ask for the program that it starts");
        return;
    }
    judge_sockets(diagnosis, anatomy);
    for (size_t i = 0; i < anatomy->way_count; i++)
        if (anatomy->ways[i]->is_doubtful)
            decide(diagnosis, VERDICT_PERHAPS, anatomy->ways[i]->code, anatomy->ways[i]->text);
}

/* What is in the process now says more than its files. */
static void judge_process(struct diagnosis *diagnosis, const struct running *running)
{
    if (!running->is_preloaded) {
        decide(diagnosis, VERDICT_NO, "not_preloaded",
               "was started without spanshim: start it anew with 'spanshim run' (or LD_PRELOAD)");
        return;
    }
    if (running->handover == HANDOVER_NO)
        decide(diagnosis, VERDICT_PERHAPS, "not_handed_over",
               "has spanshim in it, but no agent has it: it has opened no socket yet, or no agent was there; see "
               "'spanshim log'");
    else if (running->handover == HANDOVER_UNKNOWN)
        decide(diagnosis, VERDICT_PERHAPS, "agent_silent", "has spanshim in it; the agent does not answer");
    if (running->is_replaced)
        note(diagnosis, "replaced", "has an object in it that was replaced since: a restart takes the new one");
    if (running->is_confined)
        note(diagnosis, "seccomp", "is under a seccomp filter: spanshim makes no system call of its own in it");
}

static void note_marks(struct diagnosis *diagnosis, const struct anatomy *anatomy)
{
    unsigned marks = program_marks(anatomy->program.image);

    if (marks && anatomy->program.blindness != PROGRAM_PRIVILEGED)
        note(diagnosis, "privileged_for_others",
             "is set-user-id, set-group-id or has file capabilities: for other users the loader drops the shim");
}

static void note_rest(struct diagnosis *diagnosis, const struct anatomy *anatomy)
{
    for (size_t i = 0; i < anatomy->tls.count; i++)
        add(diagnosis, "tls",
            memory_format("requests over TLS (%s) are not seen; trace at a proxy in front", anatomy->tls.texts[i]));
    for (size_t i = 0; i < anatomy->way_count; i++)
        if (!anatomy->ways[i]->is_doubtful)
            note(diagnosis, anatomy->ways[i]->code, anatomy->ways[i]->text);
    for (size_t i = 0; i < anatomy->missing.count; i++)
        add(diagnosis, "missing_library",
            memory_format("needs %s, which was not found: it will not start", anatomy->missing.texts[i]));
    if (anatomy->is_musl)
        note(diagnosis, "musl", "is linked to musl: tested with small programs only");
    note_marks(diagnosis, anatomy);
}

void diagnosis_make(struct diagnosis *diagnosis, const struct anatomy *anatomy, const struct running *running)
{
    *diagnosis = (struct diagnosis){.verdict = VERDICT_YES};
    judge_program(diagnosis, anatomy);
    if (running && diagnosis->verdict != VERDICT_NO)
        judge_process(diagnosis, running);
    if (diagnosis->verdict != VERDICT_NO)
        note_rest(diagnosis, anatomy);
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"yes", "no", "perhaps"};

    return names[verdict];
}

void diagnosis_deinit(struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->reason_count; i++)
        free(diagnosis->reasons[i].text);
    *diagnosis = (struct diagnosis){0};
}
