/* SPDX-License-Identifier: Apache-2.0 */
/* What our parser makes of each stream of a folder, as JSON that llhttp.js would print too: one line a stream. Each is
 * parsed whole, byte by byte, and cut in two at every position; if these differ it says so and exits 1.
 * Usage: http1_streams FOLDER */
#include "preload/http1.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESULT_SIZE = 256 * 1024, METHODS_MAX = 16, METHOD_SIZE = 33, PATH_SIZE = 4096 };

/* The methods of the requests that responses answer, in order. */
struct methods {
    char names[METHODS_MAX][METHOD_SIZE];
    size_t count;
};

struct stream {
    char *bytes;
    size_t length;
    bool is_request;
};

/* One way through a stream, and what it led to as text. */
struct run {
    struct http1 parser;
    char *stash;
    const struct methods *answered; /* by responses */
    struct methods asked;           /* by requests */
    size_t answered_count;
    char start[2 * HTTP1_STASH_SIZE * 6]; /* of the message whose head is coming in */
    bool in_message;
    char result[RESULT_SIZE];
    size_t length;
};

static void say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(run->result + run->length, RESULT_SIZE - run->length, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= RESULT_SIZE - run->length)
        abort();
    run->length += (size_t)n;
}

/* As a JSON string, bytes as Latin-1. */
static size_t quote(char *out, struct slice text)
{
    char *start = out;
    *out++ = '"';
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.bytes[i];
        if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
            out += sprintf(out, "\\u%04x", c);
        else
            *out++ = (char)c;
    }
    *out++ = '"';
    *out = '\0';
    return (size_t)(out - start);
}

/* The version without "HTTP/". */
static struct slice version_number(struct slice version)
{
    return (struct slice){version.bytes + 5, 3};
}

static const char *answered_method(const struct run *run)
{
    return run->answered_count < run->answered->count ? run->answered->names[run->answered_count] : "GET";
}

static void start_line(struct run *run, const struct http1_out *out)
{
    char *to = run->start;
    if (run->parser.role == HTTP1_REQUESTS) {
        to += quote(to, out->a);
        *to++ = ',';
        to += quote(to, out->b);
        *to++ = ',';
        (void)quote(to, version_number(out->c));
        struct methods *asked = &run->asked;
        if (asked->count < METHODS_MAX)
            sprintf(asked->names[asked->count++], "%.*s", (int)out->a.length, out->a.bytes);
        return;
    }
    run->parser.answers_head = strcmp(answered_method(run), "HEAD") == 0;
    run->parser.answers_connect = strcmp(answered_method(run), "CONNECT") == 0;
    to += quote(to, version_number(out->a));
    *to++ = ',';
    (void)quote(to, out->b);
}

static void end_message(struct run *run, bool is_complete)
{
    if (!run->in_message)
        return;
    say(run, "\"body\":%llu,\"complete\":%s}", (unsigned long long)run->parser.body_length,
        is_complete ? "true" : "false");
    run->in_message = false;
}

static void head_end(struct run *run)
{
    static const char *const framings[] = {"none", "counted", "chunked", "close"};
    const struct http1 *parser = &run->parser;
    bool is_tunnel = parser->role == HTTP1_RESPONSES &&
                     (parser->status == 101 || (parser->answers_connect && parser->status / 100 == 2));

    say(run, "%s{\"start\":[%s],\"framing\":\"%s\",\"keep\":%s,\"upgrade\":%s,", run->length > 0 ? "," : "", run->start,
        framings[parser->framing], parser->keep_alive ? "true" : "false", is_tunnel ? "true" : "false");
    run->in_message = true;
    if (parser->status >= 200 || is_tunnel)
        run->answered_count++;
}

/* False when the stream can't be followed any further. */
static bool take_event(struct run *run, enum http1_event event, const struct http1_out *out)
{
    switch (event) {
    case HTTP1_START_LINE:
        start_line(run, out);
        break;
    case HTTP1_HEAD_END:
        head_end(run);
        break;
    case HTTP1_MESSAGE_END:
        end_message(run, true);
        break;
    case HTTP1_NOT_MINE:
    case HTTP1_BAD:
        end_message(run, false);
        return false;
    case HTTP1_NEED_MORE:
    case HTTP1_NEED_STASH:
    case HTTP1_FIELD:
        break;
    }
    return true;
}

/* One piece, in a block of its own size. */
static bool feed(struct run *run, const char *bytes, size_t length)
{
    char *piece = malloc(length > 0 ? length : 1), *at = piece;
    enum http1_event event;
    bool goes_on;

    memcpy(piece, bytes, length);
    do {
        struct http1_out out;
        at += http1_feed(&run->parser, at, (size_t)(piece + length - at), run->stash, &event, &out);
        goes_on = take_event(run, event, &out);
    } while (goes_on && event != HTTP1_NEED_MORE);
    free(piece);
    return goes_on;
}

/* The first piece has `first` bytes, all others `step`. */
static void parse(struct run *run, const struct stream *stream, const struct methods *answered, size_t first,
                  size_t step)
{
    bool goes_on = true;

    run->parser = (struct http1){.role = stream->is_request ? HTTP1_REQUESTS : HTTP1_RESPONSES};
    run->answered = answered;
    run->answered_count = run->asked.count = run->length = 0;
    run->in_message = false;
    run->result[0] = '\0';
    for (size_t at = 0; goes_on && at < stream->length;) {
        size_t piece = at == 0 ? first : step;
        if (piece > stream->length - at)
            piece = stream->length - at;
        goes_on = feed(run, stream->bytes + at, piece);
        at += piece;
    }
    enum http1_event end = goes_on ? http1_end(&run->parser) : HTTP1_BAD;
    end_message(run, end == HTTP1_MESSAGE_END);
    say(run, "],\"end\":\"%s\"}", !goes_on ? "error" : end == HTTP1_BAD ? "cut" : "ok");
}

static bool load(const char *path, struct stream *ret_stream)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    fseek(file, 0, SEEK_END);
    ret_stream->length = (size_t)ftell(file);
    rewind(file);
    ret_stream->bytes = malloc(ret_stream->length + 1);
    ret_stream->length = fread(ret_stream->bytes, 1, ret_stream->length, file);
    ret_stream->is_request = strstr(path, ".request") != NULL;
    fclose(file);
    return true;
}

static struct run *run_new(void)
{
    struct run *run = calloc(1, sizeof(*run));
    run->stash = malloc(HTTP1_STASH_SIZE);
    return run;
}

static void run_free(struct run *run)
{
    free(run->stash);
    free(run);
}

/* The methods of the requests beside a file of responses. */
static struct methods methods_beside(const char *path)
{
    struct methods methods = {0}, none = {0};
    struct stream requests;
    char beside[PATH_SIZE];

    snprintf(beside, sizeof(beside), "%.*s.request", (int)(strrchr(path, '.') - path), path);
    if (!load(beside, &requests))
        return methods;
    struct run *run = run_new();
    parse(run, &requests, &none, requests.length, 1);
    methods = run->asked;
    run_free(run);
    free(requests.bytes);
    return methods;
}

/* Print what the stream says; false when that depends on where it is cut. */
static bool examine(const char *path, const char *name, bool is_first)
{
    struct stream stream = {0};
    struct methods methods = {0};
    struct run *whole = run_new(), *cut = run_new();
    bool is_same;

    if (!load(path, &stream))
        abort();
    if (!stream.is_request)
        methods = methods_beside(path);
    parse(whole, &stream, &methods, stream.length, 1);
    printf("%s\"%s\": {\"messages\":[%s", is_first ? "" : ",\n", name, whole->result);
    parse(cut, &stream, &methods, 1, 1);
    is_same = strcmp(whole->result, cut->result) == 0;
    for (size_t at = 1; is_same && at < stream.length; at++) {
        parse(cut, &stream, &methods, at, stream.length);
        is_same = strcmp(whole->result, cut->result) == 0;
        if (!is_same)
            fprintf(stderr, "%s is another when cut at %zu:\n%s\n%s\n", name, at, whole->result, cut->result);
    }
    run_free(cut);
    run_free(whole);
    free(stream.bytes);
    return is_same;
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int count = argc == 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1, printed = 0;
    bool is_same = true;

    if (count < 0) {
        fprintf(stderr, "usage: http1_streams FOLDER\n");
        return 2;
    }
    printf("{\n");
    for (int i = 0; i < count; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            is_same &= examine(path, entries[i]->d_name, printed++ == 0);
        free(entries[i]);
    }
    free(entries);
    printf("\n}\n");
    return is_same ? 0 : 1;
}
