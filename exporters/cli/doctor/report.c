/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/report.h"

#include "exporters/cli/cli.h"
#include "exporters/cli/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON_SCHEMA = 1, LABEL_WIDTH = 12, LINE_WIDTH = 100 };

/* for people */

/* "  label     words, broken at the line's end"; texts may come from files. */
static void print_row(const char *label, const char *text)
{
    char *copy = memory_copy_text(text);
    char *rest = NULL;
    size_t column = 0;

    cli_mask(copy);
    printf("  %-*s", LABEL_WIDTH, label);
    for (const char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (column > 0 && column + 1 + strlen(word) > LINE_WIDTH - LABEL_WIDTH) {
            printf("\n  %-*s", LABEL_WIDTH, "");
            column = 0;
        }
        printf("%s%s", column ? " " : "", word);
        column += strlen(word) + (column ? 1 : 0);
    }
    (void)putchar('\n');
    free(copy);
}

static void print_hooked(const struct anatomy *anatomy)
{
    char line[ANATOMY_HOOKS * ELF_NAME_MAX] = "";
    size_t len = 0;

    for (int hook = 0; hook < ANATOMY_HOOKS; hook++)
        if (anatomy->hooked[hook])
            len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", len ? " " : "",
                                    anatomy_hook_name((enum anatomy_hook)hook));
    if (len)
        print_row("seen by", line);
}

static const char *libc_name(const struct anatomy *anatomy)
{
    if (!anatomy->program.facts.is_dynamic)
        return NULL;
    return anatomy->is_musl ? "musl" : "glibc";
}

static void print_kind(const struct anatomy *anatomy)
{
    const struct elf_facts *facts = &anatomy->program.facts;
    char buffer[ELF_NAME_MAX];

    if (!facts->is_elf || facts->is_broken)
        return;
    const char *libc = libc_name(anatomy);
    const char *version = *anatomy->glibc ? anatomy->glibc : NULL;
    char *text = memory_format("%s, %u-bit %s, linked %s%s%s%s%s%s", anatomy->language.name, facts->bits,
                               elf_machine_name(facts->machine, facts->bits, buffer),
                               facts->is_dynamic ? "dynamically" : "statically", libc ? ", " : "", libc ? libc : "",
                               version ? " (" : "", version ? version : "", version ? " or newer)" : "");
    print_row("program", text);
    free(text);
}

static void print_verdict(const struct anatomy *anatomy, const struct running *running, enum verdict verdict)
{
    static const char *const colours[] = {"\033[32m", "\033[31m", "\033[33m"};
    static const char *const future[] = {"will be traced", "will NOT be traced", "may be traced"};
    static const char *const present[] = {"are traced", "are NOT traced", "may be traced"};
    bool coloured = cli_has_colour(STDOUT_FILENO);
    char *path = memory_copy_text(anatomy->program.path);

    cli_mask(path);
    printf("%s%s: HTTP/1 requests %s%s\n", coloured ? colours[verdict] : "", path,
           running ? present[verdict] : future[verdict], coloured ? "\033[0m" : "");
    free(path);
}

void report_text(const struct anatomy *anatomy, const struct running *running, const struct diagnosis *diagnosis)
{
    print_verdict(anatomy, running, diagnosis->verdict);
    for (size_t i = 0; i < diagnosis->deciding_count; i++)
        print_row(i ? "" : "because it", diagnosis->reasons[i].text);
    if (anatomy->program.is_script)
        print_row("script of", anatomy->program.image);
    print_kind(anatomy);
    if (diagnosis->verdict != VERDICT_NO)
        print_hooked(anatomy);
    for (size_t i = diagnosis->deciding_count; i < diagnosis->reason_count; i++)
        print_row(i == diagnosis->deciding_count ? "but note" : "", diagnosis->reasons[i].text);
}

/* for programs */

/* Paths may be no UTF-8. */
static json_t *text_or_null(const char *text)
{
    json_t *json = text && *text ? json_string(text) : json_null();

    return json ? json : json_string("?");
}

static json_t *pack_names(const struct names *names)
{
    json_t *array = json_array();

    for (size_t i = 0; i < names->count; i++)
        (void)json_array_append_new(array, text_or_null(names->texts[i]));
    return array;
}

static json_t *pack_hooked(const struct anatomy *anatomy)
{
    json_t *array = json_array();

    for (int hook = 0; hook < ANATOMY_HOOKS; hook++)
        if (anatomy->hooked[hook])
            (void)json_array_append_new(array, json_string(anatomy_hook_name((enum anatomy_hook)hook)));
    return array;
}

static json_t *pack_reasons(const struct diagnosis *diagnosis, size_t from, size_t to)
{
    json_t *array = json_array();

    for (size_t i = from; i < to; i++)
        (void)json_array_append_new(array, json_pack("{s:s, s:o}", "code", diagnosis->reasons[i].code, "text",
                                                     text_or_null(diagnosis->reasons[i].text)));
    return array;
}

static json_t *pack_marks(unsigned marks)
{
    json_t *array = json_array();

    if (marks & PROGRAM_SETUID)
        (void)json_array_append_new(array, json_string("setuid"));
    if (marks & PROGRAM_SETGID)
        (void)json_array_append_new(array, json_string("setgid"));
    if (marks & PROGRAM_CAPABILITIES)
        (void)json_array_append_new(array, json_string("capabilities"));
    return array;
}

static json_t *pack_program(const struct anatomy *anatomy)
{
    const struct program *program = &anatomy->program;
    const struct elf_facts *facts = &program->facts;
    bool known = facts->is_elf && !facts->is_broken;
    char buffer[ELF_NAME_MAX];

    return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "path",
                     text_or_null(program->path), "image", text_or_null(program->image), "script", program->is_script,
                     "architecture", text_or_null(known ? elf_machine_name(facts->machine, facts->bits, buffer) : NULL),
                     "bits", known ? json_integer(facts->bits) : json_null(), "linking",
                     text_or_null(!known              ? NULL
                                  : facts->is_dynamic ? "dynamic"
                                                      : "static"),
                     "libc", text_or_null(known ? libc_name(anatomy) : NULL), "glibc_needed",
                     text_or_null(anatomy->glibc), "language", text_or_null(anatomy->language.name), "privileges",
                     pack_marks(program_marks(program->image)), "tls", pack_names(&anatomy->tls), "libraries",
                     pack_names(&anatomy->libraries), "missing_libraries", pack_names(&anatomy->missing), "hooked",
                     pack_hooked(anatomy));
}

static json_t *pack_running(const struct running *running)
{
    if (!running)
        return json_null();
    return json_pack(
        "{s:i, s:b, s:o, s:b, s:i}", "pid", running->pid, "preloaded", running->is_preloaded, "handed_over",
        running->handover == HANDOVER_UNKNOWN ? json_null() : json_boolean(running->handover == HANDOVER_YES),
        "seccomp", running->is_confined, "threads", (int)running->thread_count);
}

void report_json(const struct anatomy *anatomy, const struct running *running, const struct diagnosis *diagnosis)
{
    json_t *all =
        json_pack("{s:i, s:s, s:o, s:o, s:o, s:o}", "schema", JSON_SCHEMA, "traced", verdict_name(diagnosis->verdict),
                  "because", pack_reasons(diagnosis, 0, diagnosis->deciding_count), "notes",
                  pack_reasons(diagnosis, diagnosis->deciding_count, diagnosis->reason_count), "program",
                  pack_program(anatomy), "process", pack_running(running));

    (void)json_dumpf(all, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(all);
}
