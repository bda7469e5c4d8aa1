/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/panic.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "exporters/crash/memory.h"

enum { UNUSED = 16 << 10, USED = 16 << 10, PIECE = 512, TEXT = 512, PIECES_MAX = 32 };

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

static void read_printed(struct memory *memory, uint64_t sp, char *out, size_t size)
{
    static char bytes[UNUSED + 1]; /* of the single-threaded helper; zero where it can't be read */
    const char *thread, *words;

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

/* A text that is being put together; `bad` when it is none. */
struct text {
    struct memory *memory;
    uint64_t arguments; /* pairs of where a value is, and what formats it */
    char *out;
    size_t size, length;
    bool bad;
};

static void append(struct text *text, uint64_t address, uint64_t length)
{
    char *at = text->out + text->length;

    text->bad = text->bad || length >= text->size - text->length || memory_read(text->memory, address, at, length);
    for (uint64_t i = 0; !text->bad && i < length; i++)
        text->bad = at[i] >= 0 && !isprint((unsigned char)at[i]) && at[i] != '\n';
    if (!text->bad)
        text->length += length;
}

/* What was formatted is told where it is a &str; of what type it is, only the code knows. */
static void append_argument(struct text *text, uint64_t index)
{
    uint64_t value = memory_word(text->memory, text->arguments + index * 16), words[2];
    struct text filled = *text;

    if (!memory_read(text->memory, value, words, sizeof(words)) && words[1]) {
        append(&filled, words[0], words[1]);
        if (!filled.bad) {
            *text = filled;
            return;
        }
    }
    text->bad = text->bad || text->size - text->length < 3;
    if (!text->bad)
        text->length += (size_t)snprintf(text->out + text->length, 3, "{}");
}

/* core::fmt::Arguments up to Rust 1.92: pieces of text, with what is formatted between them. */
static void append_pieces(struct text *text, uint64_t pieces, uint64_t count, uint64_t holes)
{
    text->bad = !count || count > PIECES_MAX || holes > count;
    for (uint64_t i = 0; !text->bad && i < count; i++) {
        append(text, memory_word(text->memory, pieces + i * 16), memory_word(text->memory, pieces + i * 16 + 8));
        if (i < holes)
            append_argument(text, i);
    }
}

/* And since: one text, or bytes that tell: a piece by its length, in one byte or behind 0x80 in two; what is formatted
 * by 0xc0, and bits for the numbers that follow (flags: 4 bytes; width, precision, which one: 2 each); 0 at the end. */
static void append_template(struct text *text, uint64_t at)
{
    uint64_t hole = 0;

    for (int i = 0; i < PIECES_MAX && !text->bad; i++) {
        uint8_t code[3] = {0};

        text->bad = memory_read(text->memory, at, code, 1) || (code[0] == 0 && i == 0);
        at++;
        if (text->bad || code[0] == 0)
            return;
        if (code[0] == 0x80) {
            text->bad = memory_read(text->memory, at, code + 1, 2) != 0;
            append(text, at + 2, code[1] | code[2] << 8);
            at += 2 + (uint64_t)(code[1] | code[2] << 8);
        } else if (code[0] < 0x80) {
            append(text, at, code[0]);
            at += code[0];
        } else {
            append_argument(text, hole++);
            at += (code[0] & 1 ? 4u : 0u) + 2u * (unsigned)__builtin_popcount(code[0] & 0xeu);
        }
    }
    text->bad = true;
}

static bool read_arguments(struct memory *memory, uint64_t address, char *out, size_t size)
{
    struct text text = {.memory = memory, .out = out, .size = size};
    uint64_t word[6];
    size_t arguments = 2;

    if (memory_read(memory, address, word, sizeof(word)))
        return false;
    if (!word[2]) /* up to Rust 1.69 how to format stood in between: mostly nothing */
        arguments = 4;
    if (word[1] & 1)
        append(&text, word[0], word[1] >> 1);
    else if (word[1] <= PIECES_MAX) {
        text.arguments = word[arguments];
        append_pieces(&text, word[0], word[1], word[arguments + 1]);
    } else {
        text.arguments = word[1];
        append_template(&text, word[0]);
    }
    out[text.bad ? 0 : text.length] = '\0';
    if (!strpbrk(out, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        out[0] = '\0'; /* nothing but holes */
    return out[0] != '\0';
}

/* core::panic::Location: { file, its length, line, column }. */
static bool is_location(struct memory *memory, uint64_t address)
{
    struct {
        uint64_t file, length;
        uint32_t line, column;
    } location;
    char end[3];

    return address % 8 == 0 && !memory_read(memory, address, &location, sizeof(location)) && location.length > 3 &&
           location.length < 4096 && location.line && location.line < 10000000 && location.column &&
           location.column < 10000000 && !memory_read(memory, location.file + location.length - 3, end, 3) &&
           !memcmp(end, ".rs", 3);
}

/* What describes the panic to its handlers is still on the stack: where the message is, on the stack as well,
 * beside where it happened. */
static void read_described(struct memory *memory, uint64_t sp, char *out, size_t size)
{
    uint64_t words[3] = {0};

    for (uint64_t at = sp & ~UINT64_C(7); at < sp + USED; at += 8) {
        words[0] = words[1];
        words[1] = words[2];
        if (memory_read(memory, at, &words[2], 8))
            return;
        for (int side = 0; side <= 2; side += 2) {
            uint64_t message = words[side];

            if (message > sp && message < sp + USED && message % 8 == 0 && is_location(memory, words[1]) &&
                read_arguments(memory, message, out, size))
                return;
        }
    }
}

void panic_read(struct memory *memory, uint64_t sp, struct panic_text *ret_text)
{
    *ret_text = (struct panic_text){0};
    read_printed(memory, sp, ret_text->printed, sizeof(ret_text->printed));
    read_described(memory, sp, ret_text->described, sizeof(ret_text->described));
}
