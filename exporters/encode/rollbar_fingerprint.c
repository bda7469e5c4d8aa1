/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_fingerprint.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_MAX = 5, FRAME_SIZE = 512 };

/* The names that are told apart, the innermost first. */
struct names {
    char text[FRAMES_MAX][FRAME_SIZE];
    size_t count;
    bool has_recursion;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

enum match { WHOLE, START };

/* Is it one of the words, which '|' parts, or does it begin with one? */
static bool is_one_of(const char *text, const char *words, enum match match)
{
    size_t length;

    for (; *words != '\0'; words += length + (words[length] == '|')) {
        length = strcspn(words, "|");
        if (strncmp(text, words, length) == 0 && (match == START || text[length] == '\0'))
            return true;
    }
    return false;
}

/* Libraries that every program has: which of their functions it was in is chance, or says how the end was made. */
static bool is_system_module(const char *path)
{
    return is_one_of(basename(path),
                     "libc.so|libc-|libpthread|libstdc++.so|libc++|libgcc_s.so|libm.so|librt.so|ld-linux|ld-musl|"
                     "linux-vdso|[vdso]|libasan.so|libubsan|libtsan.so|libspanshim.",
                     START);
}

/* The same functions, and the languages' own libraries, where they are part of the program. */
static bool is_end_maker(const char *function)
{
    return is_one_of(function,
                     "abort|raise|gsignal|kill|tgkill|killpg|pthread_kill|malloc|free|calloc|realloc|cfree|"
                     "malloc_printerr|malloc_consolidate|unlink_chunk|munmap_chunk|_int_malloc|_int_free|"
                     "memcpy|memmove|memset|strlen|rust_panic|_start|start_thread|clone|clone3|"
                     "operator new|operator new[]|operator delete|operator delete[]",
                     WHOLE) ||
           is_one_of(function,
                     "__GI_|__libc_|__assert|__fortify|__stack_chk|__chk_fail|__pthread_|__restore|<signal|"
                     "__memcpy|__memmove|__memset|__strlen|__cxxabiv1::|__gnu_cxx::|__cxa_|std::|core::|alloc::|"
                     "__rust_|__rustc::|__asan|__ubsan|__tsan|__sanitizer|__interceptor_",
                     START);
}

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

/* Behind the brackets that open here. */
static const char *skip_brackets(const char *text)
{
    size_t depth = 0;

    for (; *text != '\0'; text++) {
        depth += *text == '<';
        depth -= *text == '>' && text[-1] != '-'; /* -> is no bracket */
        if (depth == 0)
            return text + 1;
    }
    return text;
}

/* "operator<<", "operator()": the signs behind it belong to the name. Copies them. */
static const char *copy_operator(const char *text, char **out, const char *end)
{
    const char *signs = text + strlen("operator");
    size_t length = begins_with(signs, "()") ? 2 : strspn(signs, "<>=-+*/%^&|~![],");

    for (length += strlen("operator"); length > 0 && *out < end; length--)
        *(*out)++ = *text++;
    return text;
}

/* Without parameters, template arguments, clones (.part.0, .cold), versions (@GLIBC) and Rust's hash: what a rebuild or
 * another compiler changes. */
static void normalize(const char *function, char *out, size_t size)
{
    const char *start = out;
    const char *end = out + size - 1;
    const char *rest = function;

    while (*rest != '\0' && *rest != '@' && out < end) {
        bool follows_name = rest > function && (is_name_character(rest[-1]) || rest[-1] == '>' || rest[-1] == ']');

        if (begins_with(rest, "operator") && !(rest > function && is_name_character(rest[-1])) &&
            !is_name_character(rest[strlen("operator")])) {
            rest = copy_operator(rest, &out, end);
        } else if (*rest == '<' && follows_name) {
            rest = skip_brackets(rest);
        } else if (*rest == '(' && follows_name && out > start) {
            break;
        } else if (*rest == '.' && out > start &&
                   (isdigit((unsigned char)rest[1]) || islower((unsigned char)rest[1]))) {
            break;
        } else {
            *out++ = *rest++;
        }
    }
    *out = '\0';
    char *hash = strrchr(start, ':');
    if (hash != NULL && strlen(hash) == 18 && hash[1] == 'h' && strspn(hash + 2, "0123456789abcdef") == 16)
        hash[hash > start && hash[-1] == ':' ? -1 : 0] = '\0';
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Once each: how deep a recursion was, and where in its circle it ended, is chance. */
static void add_name(struct names *names, const char *module, const char *function)
{
    char text[FRAME_SIZE];

    (void)snprintf(text, sizeof(text), "%.200s!%.300s", basename(module), function);
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->text[i], text) == 0) {
            names->has_recursion = true;
            return;
        }
    }
    if (names->count < FRAMES_MAX)
        memcpy(names->text[names->count++], text, sizeof(text));
}

/* Which frames count. */
enum choice { OWN_FUNCTIONS, ANY_FUNCTION, OFFSETS };

static void collect_frame(struct names *names, const json_t *frame, enum choice choice)
{
    const char *module = text_of(frame, "module");
    const char *function = text_of(frame, "function");
    char name[FRAME_SIZE];

    if (choice == OFFSETS) {
        add_name(names, module, text_of(frame, "offset"));
        return;
    }
    normalize(function, name, sizeof(name));
    if (name[0] == '\0' || begins_with(name, "0x") ||
        (choice == OWN_FUNCTIONS && (is_system_module(module) || is_end_maker(name))))
        return;
    add_name(names, module, name);
}

/* What was only guessed, and what the compiler put into one another, differs from build to build. */
static bool is_firm(const json_t *frame)
{
    return !json_is_true(json_object_get(frame, "inlined")) && strcmp(text_of(frame, "found_by"), "scan") != 0;
}

static void collect(struct names *names, const json_t *frames, enum choice choice)
{
    for (size_t i = 0; i < json_array_size(frames); i++)
        if (is_firm(json_array_get(frames, i)))
            collect_frame(names, json_array_get(frames, i), choice);
}

static void add(EVP_MD_CTX *hash, const char *text)
{
    (void)EVP_DigestUpdate(hash, text, strlen(text) + 1);
}

static void add_crash(EVP_MD_CTX *hash, const json_t *report)
{
    const json_t *frames = json_object_get(json_array_get(json_object_get(report, "threads"), 0), "frames");
    struct names *names = calloc(1, sizeof(*names));

    add(hash, text_of(json_object_get(report, "exception"), "class"));
    for (enum choice choice = OWN_FUNCTIONS; names != NULL && names->count == 0 && choice <= OFFSETS; choice++)
        collect(names, frames, choice);
    if (names != NULL && names->has_recursion)
        qsort(names->text, names->count, sizeof(names->text[0]), compare_names);
    for (size_t i = 0; names != NULL && i < names->count; i++)
        add(hash, names->text[i]);
    free(names);
}

/* The calls by file and function, as Rollbar groups them. */
static void add_error(EVP_MD_CTX *hash, const json_t *report)
{
    const json_t *frames = json_object_get(json_array_get(json_object_get(report, "threads"), 0), "frames"), *frame;
    size_t i;

    add(hash, text_of(json_object_get(report, "exception"), "class"));
    json_array_foreach(frames, i, frame)
    {
        add(hash, text_of(frame, "file"));
        add(hash, text_of(frame, "function"));
    }
}

static void add_words(EVP_MD_CTX *hash, const char *text)
{
    for (; *text != '\0'; text++)
        if (!isdigit((unsigned char)*text))
            (void)EVP_DigestUpdate(hash, text, 1);
}

static void add_report(EVP_MD_CTX *hash, const json_t *report)
{
    const char *kind = text_of(report, "kind");

    add(hash, kind);
    if (strcmp(kind, "message") == 0) {
        add(hash, text_of(report, "level"));
        add_words(hash, text_of(report, text_of(report, "title")[0] != '\0' ? "title" : "message"));
    } else if (strcmp(kind, "death") == 0) {
        add(hash, text_of(json_object_get(report, "signal"), "name"));
        add(hash, basename(text_of(json_object_get(report, "process"), "executable")));
    } else if (strcmp(kind, "error") == 0) {
        add_error(hash, report);
    } else {
        add_crash(hash, report);
    }
}

void rollbar_fingerprint(const json_t *report, char out[ROLLBAR_FINGERPRINT_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (hash != NULL && EVP_DigestInit_ex(hash, EVP_sha1(), NULL) == 1) {
        add_report(hash, report);
        (void)EVP_DigestFinal_ex(hash, bytes, NULL);
    }
    EVP_MD_CTX_free(hash);
    for (size_t i = 0; i < (ROLLBAR_FINGERPRINT_SIZE - 1) / 2; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}
