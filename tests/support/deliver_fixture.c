/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/deliver_fixture.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/span.h"
#include "exporters/agent/spool.h"
#include "exporters/encode/buffer.h"
#include "tests/support/sample_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct deliver_fake fake;

struct loop *loop;
struct journal *journal;
static int journal_fd;
struct process process;
static struct destinations_host host;
struct settings *settings;
struct deliver *deliver;
struct spool *spool;
char folder[64];
unsigned idle_count;
static unsigned appended;
struct deliver_flushes flushes;

static const struct exporter_result *next_answer(void)
{
    size_t n = fake.batch_count - 1;

    return &fake.answers[n < fake.answer_count ? n : fake.answer_count - 1];
}

static int fake_open(const struct exporter_host *exporter_host, const struct settings *given, void **ret_instance,
                     char error[256])
{
    (void)exporter_host;
    (void)given;
    if (fake.fails_to_open) {
        (void)snprintf(error, 256, "no such place");
        return -ENOENT;
    }
    *ret_instance = &fake;
    return 0;
}

/* A payload: the first span's number, and how many there are; or a report's own number, and 0. */
struct parcel {
    unsigned first, count;
};

static int fake_encode_spans(void *instance, const struct span *const *spans, size_t count, struct buffer *payload)
{
    struct parcel parcel = {.count = (unsigned)count};

    assert_ptr_equal(instance, &fake);
    assert_int_equal(payload->length, 0);
    memcpy(&parcel.first, spans[0]->request->span_id, sizeof(parcel.first));
    return fake.encode_error != 0 ? fake.encode_error : buffer_append(payload, &parcel, sizeof(parcel));
}

static int fake_encode_report(void *instance, const json_t *report, struct buffer *payload)
{
    struct parcel parcel = {.first = (unsigned)json_integer_value(report)};

    assert_ptr_equal(instance, &fake);
    return fake.encode_error != 0 ? fake.encode_error : buffer_append(payload, &parcel, sizeof(parcel));
}

static void fake_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct parcel parcel;

    assert_ptr_equal(instance, &fake);
    assert_null(fake.done); /* never two at once */
    assert_true(fake.batch_count < BATCHES_MAX);
    assert_int_equal(length, sizeof(parcel));
    memcpy(&parcel, payload, length);
    fake.first_of_batch[fake.batch_count] = parcel.first;
    fake.sent_at_ns[fake.batch_count] = loop_now_ns(loop);
    fake.batch_sizes[fake.batch_count++] = parcel.count;
    if (fake.batch_count == fake.wanted)
        loop_stop(loop);
    if (fake.holds_back) {
        fake.done = done;
        fake.arg = arg;
    } else {
        done(arg, next_answer());
    }
}

void release(void)
{
    exporter_done *done = fake.done;

    assert_non_null(done);
    fake.done = NULL;
    done(fake.arg, next_answer());
}

static void fake_close(void *instance)
{
    (void)instance;
}

static void fake_describe(const struct settings *given, char *text, size_t size)
{
    (void)given;
    (void)snprintf(text, size, "nowhere");
}

static const struct exporter exporter_fake = {.name = "fake",
                                              .describe = fake_describe,
                                              .open = fake_open,
                                              .encode_spans = fake_encode_spans,
                                              .encode_report = fake_encode_report,
                                              .send = fake_send,
                                              .close = fake_close};

static struct process *find_process(const struct journal_origin *origin)
{
    return origin->source != GONE ? &process : NULL;
}

static void on_idle(void *arg)
{
    (void)arg;
    idle_count++;
}

int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.answers[0].outcome = EXPORTER_SENT;
    fake.answer_count = 1;
    idle_count = appended = 0;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(journal_create(1 << 20, &journal_fd), 0);
    assert_int_equal(journal_open(journal_fd, &journal), 0);
    journal_set_consumers(journal, 1);
    host = (struct destinations_host){.loop = loop, .process_find = find_process};
    settings = settings_new(NULL, 0, NULL);
    settings->batches[SIGNAL_TRACES].delay_ms = FOREVER_MS;
    settings->batches[SIGNAL_TRACES].size = 3;
    return 0;
}

/* All but what delivers. */
static int unset(void **state)
{
    (void)state;
    settings_unref(settings);
    journal_close(journal);
    (void)close(journal_fd);
    loop_free(loop);
    return 0;
}

int tear_down(void **state)
{
    deliver_free(deliver);
    deliver = NULL;
    return unset(state);
}

void start(void)
{
    struct deliver_options options = {
        .host = &host, .exporter = &exporter_fake, .settings = settings, .journal = journal, .on_idle = on_idle};

    assert_int_equal(deliver_new(&options, &deliver), 0);
}

/* With a queue on the disk. */
int set_up_spool(void **state)
{
    if (set_up(state) != 0)
        return -1;
    (void)snprintf(folder, sizeof(folder), "/tmp/spanshim-test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    spool_set_folder(folder);
    spool = host.spool = spool_new(loop);
    return spool != NULL ? 0 : -1;
}

int tear_down_spool(void **state)
{
    static const char *const names[] = {"spool.db", "spool.lock"};
    char path[128];

    deliver_free(deliver);
    deliver = NULL;
    spool_free(spool); /* the last to close it: SQLite removes its own files */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder) | unset(state);
}

static void append_with(uint32_t source, unsigned count, unsigned flags)
{
    struct {
        struct wire_record header;
        union sample_request sample;
    } record;

    for (unsigned i = 0; i < count; i++) {
        struct journal_origin origin = {.source = source, .position = appended};

        sample_fill(&record.sample.request, ++appended);
        record.sample.request.flags = (uint16_t)flags;
        size_t length = sample_size(&record.sample.request);
        record.header = (struct wire_record){.type = WIRE_RECORD_REQUEST, .length = (uint16_t)length};
        assert_int_equal(journal_append(journal, &origin, &record, sizeof(record.header) + length), 0);
    }
}

void append_from(uint32_t source, unsigned count)
{
    append_with(source, count, WIRE_REQUEST_SAMPLED);
}

void append(unsigned count)
{
    append_from(1, count);
}

void append_for_others(unsigned count)
{
    append_with(1, count, WIRE_REQUEST_XRAY_SAMPLED);
}

void stop_loop(void *arg)
{
    *(bool *)arg = true;
    loop_stop(loop);
}

/* Until so many batches were sent. */
void run_until_sent(size_t batches)
{
    bool is_late = false;
    struct loop_timer timer = {.fn = stop_loop, .arg = &is_late};

    if (fake.batch_count >= batches)
        return;
    fake.wanted = batches;
    assert_int_equal(loop_timer_set(loop, &timer, DEADLINE_MS * NS_PER_MS), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_false(is_late);
    loop_timer_clear(loop, &timer);
}

json_int_t count_of(const char *key, const char *cause)
{
    json_t *status = deliver_status(deliver);
    json_t *value = json_object_get(status, key);

    if (cause != NULL)
        value = json_object_get(value, cause);
    json_int_t count = json_integer_value(value);
    json_decref(status);
    return count;
}

void assert_state(const char *expected)
{
    json_t *status = deliver_status(deliver);

    assert_string_equal(json_string_value(json_object_get(status, "state")), expected);
    json_decref(status);
}

void on_flushed(void *arg, const struct destinations_flushed *flushed)
{
    flushes.count++;
    flushes.last = *flushed;
    if (arg != NULL)
        loop_stop(loop);
}

void flush(void)
{
    memset(&flushes, 0, sizeof(flushes));
    deliver_flush(deliver, FOREVER_MS, on_flushed, NULL);
}

void report(unsigned number)
{
    json_t *json = json_integer(number);

    deliver_report(deliver, json);
    json_decref(json);
}
