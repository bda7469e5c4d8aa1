/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/log_lines_fixture.h"

#include "exporters/agent/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void keep(void *arg, const struct log_lines_place *place, const struct log_event_record *record,
                 const char *path, const char *text)
{
    struct log_lines_fixture *fixture = arg;

    assert_true(fixture->length + record->header.pad + 2 <= sizeof(fixture->texts));
    memcpy(fixture->texts + fixture->length, text, record->header.pad);
    fixture->length += record->header.pad;
    fixture->texts[fixture->length++] = '|';
    fixture->texts[fixture->length] = '\0';
    fixture->last = *record;
    fixture->place = *place;
    (void)snprintf(fixture->path, sizeof(fixture->path), "%.*s", (int)record->path_length, path);
    fixture->count++;
}

static void load(void *arg, const void *bytes, size_t length)
{
    assert_false(log_lines_load(arg, bytes, 8));
    assert_true(log_lines_load(arg, bytes, length));
}

/* As after a restart. */
static void save_and_load(struct log_lines_fixture *fixture)
{
    struct log_lines *loaded = log_lines_new(keep, fixture);

    assert_non_null(loaded);
    log_lines_save(fixture->lines, load, loaded);
    assert_int_equal(log_lines_waiting(loaded), log_lines_waiting(fixture->lines));
    log_lines_free(fixture->lines);
    fixture->lines = loaded;
}

int log_lines_setup(void **state)
{
    struct log_lines_fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->log = (struct wire_log){.stream = WIRE_LOG_STDERR, .writer = 1};
    fixture->now_ns = 1000 * NS_PER_MS;
    fixture->lines = log_lines_new(keep, fixture);
    assert_non_null(fixture->lines);
    *state = fixture;
    return 0;
}

int log_lines_setup_saved(void **state)
{
    int result = log_lines_setup(state);

    ((struct log_lines_fixture *)*state)->is_saved = true;
    return result;
}

int log_lines_teardown(void **state)
{
    struct log_lines_fixture *fixture = *state;

    log_lines_free(fixture->lines);
    free(fixture);
    return 0;
}

bool give(struct log_lines_fixture *fixture, const char *path, const char *bytes, size_t length)
{
    size_t path_length = strlen(path), size = sizeof(fixture->log) + path_length + length;
    struct log_lines_place place = {fixture->position++, 1};
    struct wire_log *piece = malloc(size);

    assert_non_null(piece);
    fixture->log.path_length = (uint8_t)path_length;
    memcpy(piece, &fixture->log, sizeof(*piece));
    memcpy((char *)piece + sizeof(*piece), path, path_length);
    memcpy((char *)piece + sizeof(*piece) + path_length, bytes, length);
    bool is_taken = log_lines_take(fixture->lines, &place, piece, size, fixture->now_ns);
    free(piece);
    if (fixture->is_saved)
        save_and_load(fixture);
    return is_taken;
}

void write_text(struct log_lines_fixture *fixture, const char *text)
{
    fixture->log.mono_ns++;
    assert_true(give(fixture, "", text, strlen(text)));
}

void write_as(struct log_lines_fixture *fixture, uint32_t thread, const char *text)
{
    fixture->log.writer = thread * 2 + 1;
    fixture->log.flags = thread > 0 ? 0 : WIRE_LOG_SHARED;
    write_text(fixture, text);
}

void write_long(struct log_lines_fixture *fixture, const char *bytes, size_t length)
{
    fixture->log.mono_ns++;
    for (size_t at = 0; at < length; at += PIECE_MAX) {
        bool is_last = length - at <= PIECE_MAX;

        fixture->log.flags = is_last ? 0 : WIRE_LOG_CONTINUES;
        assert_true(give(fixture, "", bytes + at, is_last ? length - at : PIECE_MAX));
    }
}

void wait_ms(struct log_lines_fixture *fixture, unsigned ms)
{
    fixture->now_ns += ms * NS_PER_MS;
    log_lines_look(fixture->lines, fixture->now_ns);
}

void assert_texts(struct log_lines_fixture *fixture, const char *expected)
{
    fixture->texts[fixture->length] = '\0';
    assert_string_equal(fixture->texts, expected);
    fixture->length = 0;
}
