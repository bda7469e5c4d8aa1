/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/elf.h"

#include "exporters/cli/preload_list.h"

#include <gelf.h>
#include <libelf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_NONE
#endif

enum { VERSIONS_MAX = 10000 };

struct visit {
    Elf *elf;
    elf_found *found;
    void *arg;
};

static void tell(const struct visit *visit, enum elf_item item, const char *text)
{
    if (text)
        visit->found(visit->arg, item, text);
}

/* The text at an offset of a piece of the file; NULL when it doesn't end within. */
static const char *text_at(const Elf_Data *data, uint64_t offset)
{
    if (!data || !data->d_buf || offset >= data->d_size)
        return NULL;
    const char *text = (const char *)data->d_buf + offset;
    return memchr(text, '\0', data->d_size - offset) ? text : NULL;
}

/* NULL when any of it lies outside the file. */
static Elf_Data *piece(Elf *elf, uint64_t offset, uint64_t size, Elf_Type type)
{
    if (offset > INT64_MAX || size == 0 || size > SIZE_MAX / 2)
        return NULL;
    return elf_getdata_rawchunk(elf, (int64_t)offset, size, type);
}

static size_t segment_count(Elf *elf)
{
    size_t count = 0;

    return elf_getphdrnum(elf, &count) == 0 ? count : 0;
}

/* File offset of an address, by the loadable segments, and how much of the segment follows there. */
static uint64_t file_offset(Elf *elf, uint64_t address, uint64_t *ret_rest)
{
    GElf_Phdr at;

    for (size_t i = 0; i < segment_count(elf); i++) {
        if (!gelf_getphdr(elf, (int)i, &at) || at.p_type != PT_LOAD || address < at.p_vaddr ||
            address - at.p_vaddr >= at.p_filesz || at.p_offset > UINT64_MAX - (address - at.p_vaddr))
            continue;
        *ret_rest = at.p_filesz - (address - at.p_vaddr);
        return at.p_offset + (address - at.p_vaddr);
    }
    *ret_rest = 0;
    return UINT64_MAX;
}

/* Go's linker leaves its build id in a note of its own. */
static void visit_notes(const struct visit *visit, const GElf_Phdr *segment)
{
    Elf_Data *data = piece(visit->elf, segment->p_offset, segment->p_filesz, ELF_T_NHDR);
    GElf_Nhdr note;
    size_t name, content, at = 0;

    while (data && (at = gelf_getnote(data, at, &note, &name, &content)) > 0)
        tell(visit, ELF_NOTE, note.n_namesz ? text_at(data, name) : NULL);
}

/* Of an entry of the dynamic section: is it a text, and which item? */
static bool is_text_entry(int64_t tag, enum elf_item *ret_item)
{
    switch (tag) {
    case DT_NEEDED:
        *ret_item = ELF_NEEDED;
        return true;
    case DT_RPATH:
        *ret_item = ELF_RPATH;
        return true;
    case DT_RUNPATH:
        *ret_item = ELF_RUNPATH;
        return true;
    default:
        return false;
    }
}

/* The texts that the dynamic section points at. */
static Elf_Data *dynamic_texts(Elf *elf, Elf_Data *entries)
{
    GElf_Dyn entry;
    uint64_t rest;

    for (int i = 0; gelf_getdyn(entries, i, &entry) && entry.d_tag != DT_NULL; i++)
        if (entry.d_tag == DT_STRTAB) {
            uint64_t offset = file_offset(elf, entry.d_un.d_ptr, &rest);

            return piece(elf, offset, rest, ELF_T_BYTE);
        }
    return NULL;
}

static void visit_dynamic(const struct visit *visit, const GElf_Phdr *segment)
{
    Elf_Data *entries = piece(visit->elf, segment->p_offset, segment->p_filesz, ELF_T_DYN);
    Elf_Data *texts = entries ? dynamic_texts(visit->elf, entries) : NULL;
    GElf_Dyn entry;
    enum elf_item item;

    for (int i = 0; texts && gelf_getdyn(entries, i, &entry) && entry.d_tag != DT_NULL; i++)
        if (is_text_entry(entry.d_tag, &item))
            tell(visit, item, text_at(texts, entry.d_un.d_val));
}

static void visit_segments(const struct visit *visit)
{
    GElf_Phdr at;

    for (size_t i = 0; i < segment_count(visit->elf); i++) {
        if (!gelf_getphdr(visit->elf, (int)i, &at))
            return;
        if (at.p_type == PT_INTERP)
            tell(visit, ELF_INTERPRETER, text_at(piece(visit->elf, at.p_offset, at.p_filesz, ELF_T_BYTE), 0));
        else if (at.p_type == PT_NOTE)
            visit_notes(visit, &at);
        else if (at.p_type == PT_DYNAMIC)
            visit_dynamic(visit, &at);
    }
}

/* Go programs linked by a C linker keep the note out of the segments' table at times; the section is there. */
static void visit_sections(const struct visit *visit)
{
    size_t names;
    GElf_Shdr header;

    if (elf_getshdrstrndx(visit->elf, &names) != 0)
        return;
    for (Elf_Scn *at = NULL; (at = elf_nextscn(visit->elf, at));)
        if (gelf_getshdr(at, &header))
            tell(visit, ELF_SECTION, elf_strptr(visit->elf, names, header.sh_name));
}

static void visit_symbols(const struct visit *visit, Elf_Data *data, const GElf_Shdr *header)
{
    GElf_Sym symbol;

    for (int i = 1; gelf_getsym(data, i, &symbol); i++)
        tell(visit, symbol.st_shndx == SHN_UNDEF ? ELF_IMPORT : ELF_EXPORT,
             elf_strptr(visit->elf, header->sh_link, symbol.st_name));
}

/* Each step leads forward, and there are only so many: lists that lead nowhere come to an end. */
static void visit_versions(const struct visit *visit, Elf_Data *data, const GElf_Shdr *header)
{
    GElf_Verneed file;
    GElf_Vernaux version;
    unsigned steps = 0;

    for (uint64_t at = 0; at < INT32_MAX && gelf_getverneed(data, (int)at, &file); at += file.vn_next) {
        for (uint64_t to = at + file.vn_aux; to < INT32_MAX && gelf_getvernaux(data, (int)to, &version);
             to += version.vna_next) {
            tell(visit, ELF_VERSION, elf_strptr(visit->elf, header->sh_link, version.vna_name));
            if (version.vna_next == 0 || ++steps == VERSIONS_MAX)
                break;
        }
        if (file.vn_next == 0 || steps == VERSIONS_MAX)
            return;
    }
}

static void visit_tables(const struct visit *visit)
{
    GElf_Shdr header;

    for (Elf_Scn *at = NULL; (at = elf_nextscn(visit->elf, at));) {
        if (!gelf_getshdr(at, &header))
            continue;
        Elf_Data *data =
            header.sh_type == SHT_DYNSYM || header.sh_type == SHT_GNU_verneed ? elf_getdata(at, NULL) : NULL;
        if (data && header.sh_type == SHT_DYNSYM)
            visit_symbols(visit, data, &header);
        else if (data)
            visit_versions(visit, data, &header);
    }
}

/* A regular file that starts as ELF files do. */
static bool has_magic(int fd)
{
    struct stat status;
    char magic[SELFMAG];

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/* A file that is cut short while it is read would kill us by SIGBUS: then it could not be executed either. */
static Elf *open_elf(int fd)
{
    GElf_Ehdr header;

    if (!has_magic(fd) || elf_version(EV_CURRENT) == EV_NONE)
        return NULL;
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header))
        return elf;
    (void)elf_end(elf);
    return NULL;
}

static void note_fact(void *arg, enum elf_item item, const char *text)
{
    struct elf_facts *facts = arg;

    if (item == ELF_INTERPRETER)
        facts->is_dynamic = true;
    else if (item == ELF_NOTE)
        facts->is_go |= strcmp(text, "Go") == 0;
    else if (item == ELF_SECTION)
        facts->is_go |= strcmp(text, ".go.buildinfo") == 0 || strcmp(text, ".note.go.buildid") == 0;
    else if (item == ELF_NEEDED && !*facts->sanitizer && preload_list_is_sanitizer(text) && strlen(text) < ELF_NAME_MAX)
        memcpy(facts->sanitizer, text, strlen(text) + 1);
}

void elf_inspect(int fd, struct elf_facts *ret_facts)
{
    struct elf_facts facts = {.is_elf = has_magic(fd)};
    struct visit visit = {.elf = open_elf(fd), .found = note_fact, .arg = &facts};
    GElf_Ehdr header;

    facts.is_broken = facts.is_elf && !visit.elf;
    if (visit.elf && gelf_getehdr(visit.elf, &header)) {
        facts.machine = header.e_machine;
        facts.bits = header.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
        facts.is_foreign = facts.bits != 64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
                           (OWN_MACHINE != EM_NONE && header.e_machine != OWN_MACHINE);
        visit_segments(&visit);
        visit_sections(&visit);
    }
    (void)elf_end(visit.elf);
    *ret_facts = facts;
}

void elf_visit(int fd, elf_found *found, void *arg)
{
    struct visit visit = {.elf = open_elf(fd), .found = found, .arg = arg};

    if (!visit.elf)
        return;
    visit_segments(&visit);
    visit_sections(&visit);
    visit_tables(&visit);
    (void)elf_end(visit.elf);
}

const char *elf_machine_name(unsigned machine, unsigned bits, char buffer[ELF_NAME_MAX])
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86_64"}, {EM_386, "i386"},        {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},
                 {EM_PPC64, "ppc64"},   {EM_S390, "s390x"},      {EM_RISCV, "riscv"},     {EM_MIPS, "mips"},
                 {EM_PPC, "ppc"},       {EM_SPARCV9, "sparc64"}, {258, "loongarch"}};

    if (machine == EM_X86_64 && bits == 32)
        return "x32";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].machine == machine)
            return names[i].name;
    (void)snprintf(buffer, ELF_NAME_MAX, "machine %u", machine);
    return buffer;
}
