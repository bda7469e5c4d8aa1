/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/cloudwatch_events.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log_event.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/cloudwatch_message.h"
#include "exporters/encode/cloudwatch_stream.h"
#include "exporters/encode/json_quote.h"
#include "exporters/encode/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 24, EVENT_MAX_ANYWHERE = 262144 };

static const char limit_text[] = "spanshim: the limit of SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE is reached; what comes "
                                 "in the rest of this minute is left out";

/* An event as it is sent. */
struct entry {
    size_t stream; /* where its name is in `names` */
    uint64_t ms;
    size_t message, length; /* in `messages` */
    size_t order;
};

struct work {
    const struct cloudwatch_options *options;
    struct cloudwatch_room *room;
    struct buffer names; /* of streams, each with its NUL */
    struct buffer text;  /* of one event, repaired */
    struct buffer messages;
    struct buffer entries;
    size_t entry_count;
    uint64_t left_out;
    /* Whose name was found last. */
    const struct process *process;
    uint64_t second;
    size_t stream;
};

static void work_deinit(struct work *work)
{
    buffer_deinit(&work->names);
    buffer_deinit(&work->text);
    buffer_deinit(&work->messages);
    buffer_deinit(&work->entries);
}

/* streams */

static int find_name(struct work *work, const char *name, size_t *ret_stream)
{
    const char *names = (const char *)work->names.bytes;

    for (size_t at = 0; at < work->names.length; at += strlen(names + at) + 1) {
        if (strcmp(names + at, name) == 0) {
            *ret_stream = at;
            return 0;
        }
    }
    *ret_stream = work->names.length;
    return buffer_append(&work->names, name, strlen(name) + 1);
}

/* The stream that the event goes to: `work->stream`. */
static int find_stream(struct work *work, const struct log_event *event)
{
    uint64_t second = cloudwatch_stream_is_dated(work->options->stream) ? event->unix_ns / NS_PER_S : 0;
    char name[CLOUDWATCH_STREAM_SIZE];

    if (event->process == work->process && second == work->second)
        return 0;
    cloudwatch_stream_write(work->options->stream, event, name);
    int r = find_name(work, name, &work->stream);
    if (r == 0) {
        work->process = event->process;
        work->second = second;
    }
    return r;
}

/* messages */

static int repair(struct work *work, struct slice text)
{
    int r;

    work->text.length = 0;
    r = buffer_reserve(&work->text, text.length * UTF8_REPAIRED_MAX + 1);
    if (r == 0)
        work->text.length = utf8_repair(text.bytes, text.length, UINT32_MAX, (char *)work->text.bytes);
    return r;
}

/* What stands in `messages` from `start` on is a message of the event. */
static int add_entry(struct work *work, const struct log_event *event, size_t start)
{
    const struct entry entry = {.stream = work->stream,
                                .ms = event->unix_ns / NS_PER_MS,
                                .message = start,
                                .length = work->messages.length - start,
                                .order = work->entry_count};
    int r = buffer_append(&work->entries, &entry, sizeof(entry));

    work->entry_count += r == 0;
    return r;
}

/* The text as one message, or as several if it is too long. */
static int add_text(struct work *work, const struct log_event *event, struct slice text)
{
    const struct cloudwatch_options *options = work->options;
    struct cloudwatch_message message = {.event = event,
                                         .is_plain = options->is_plain,
                                         .has_xray = options->has_xray,
                                         .is_cut = options->is_cut,
                                         .room = options->event_max - CLOUDWATCH_EVENT_EXTRA};
    int r = 0;

    while (r == 0 && text.length > 0) {
        size_t start = work->messages.length, taken;

        r = cloudwatch_message_append(&work->messages, &message, text, &taken);
        if (r == 0 && taken < text.length && !options->is_cut && message.part == 0) {
            work->messages.length = start;
            message.part = 1;
            continue;
        }
        if (r == 0)
            r = add_entry(work, event, start);
        if (r < 0)
            break;
        text = options->is_cut ? (struct slice){0} : (struct slice){text.bytes + taken, text.length - taken};
        message.part += message.part > 0;
    }
    return r;
}

static int add_as_it_is(struct work *work, const struct log_event *event, struct slice text)
{
    size_t start = work->messages.length;
    int r = buffer_append(&work->messages, text.bytes, text.length);

    return r == 0 ? add_entry(work, event, start) : r;
}

static int add_messages(struct work *work, const struct log_event *event)
{
    int r = repair(work, event->text);
    const struct slice text = {(const char *)work->text.bytes, work->text.length};

    if (r < 0)
        return r;
    if (text.length + CLOUDWATCH_EVENT_EXTRA <= work->options->event_max && cloudwatch_message_is_metric(text))
        return add_as_it_is(work, event, text);
    return add_text(work, event, text);
}

/* Within the room that there is; the first event that is not gives way to a word about it. */
static int add_event(struct work *work, const struct log_event *event)
{
    size_t length = work->messages.length, count = work->entry_count;
    int r;

    if (work->room->is_over) {
        work->left_out++;
        return 0;
    }
    r = find_stream(work, event);
    if (r == 0)
        r = add_messages(work, event);
    if (r < 0)
        return r;
    uint64_t bytes = work->messages.length - length + (work->entry_count - count) * CLOUDWATCH_EVENT_EXTRA;
    if (bytes <= work->room->bytes) {
        work->room->bytes -= bytes;
        return 0;
    }
    work->room->is_over = true;
    work->left_out++;
    work->messages.length = length;
    work->entry_count = count;
    work->entries.length = count * sizeof(struct entry);
    return add_as_it_is(work, event, (struct slice){limit_text, sizeof(limit_text) - 1});
}

/* calls */

static int compare(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;

    if (a->stream != b->stream)
        return a->stream < b->stream ? -1 : 1;
    if (a->ms != b->ms)
        return a->ms < b->ms ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Some regions refuse a call for such an event: it goes alone. */
static bool is_long(const struct entry *entry)
{
    return entry->length + CLOUDWATCH_EVENT_EXTRA > EVENT_MAX_ANYWHERE;
}

/* How many of the sorted entries a call takes. */
static size_t count_for_call(const struct entry *entries, size_t count)
{
    size_t n = 0, bytes = 0;

    while (n < count && (n == 0 || (!is_long(&entries[0]) && !is_long(&entries[n]))) &&
           n < CLOUDWATCH_CALL_EVENTS_MAX && entries[n].stream == entries[0].stream &&
           entries[n].ms - entries[0].ms <= CLOUDWATCH_CALL_SPAN_MS) {
        bytes += entries[n].length + CLOUDWATCH_EVENT_EXTRA;
        if (bytes > CLOUDWATCH_CALL_BYTES_MAX)
            break;
        n++;
    }
    return n;
}

static int append_text(struct buffer *payload, const char *text)
{
    return buffer_append(payload, text, strlen(text));
}

static int append_entry(const struct work *work, const struct entry *entry, bool is_first, struct buffer *payload)
{
    char start[NUMBER_SIZE + 32];
    int r;

    (void)snprintf(start, sizeof(start), "%s{\"timestamp\":%llu,\"message\":", is_first ? "" : ",",
                   (unsigned long long)entry->ms);
    r = append_text(payload, start);
    if (r == 0)
        r = json_quote_append(payload, (const char *)work->messages.bytes + entry->message, entry->length);
    return r == 0 ? append_text(payload, "}") : r;
}

static int append_call(const struct work *work, const struct entry *entries, size_t count, struct buffer *payload)
{
    const char *name = (const char *)work->names.bytes + entries[0].stream;
    char start[NUMBER_SIZE + 32];
    int r;

    (void)snprintf(start, sizeof(start), "%zu {\"logGroupName\":", count);
    r = append_text(payload, start);
    if (r == 0)
        r = json_quote_append(payload, work->options->group, strlen(work->options->group));
    if (r == 0)
        r = append_text(payload, ",\"logStreamName\":");
    if (r == 0)
        r = json_quote_append(payload, name, strlen(name));
    if (r == 0)
        r = append_text(payload, ",\"logEvents\":[");
    for (size_t i = 0; i < count && r == 0; i++)
        r = append_entry(work, &entries[i], i == 0, payload);
    return r == 0 ? append_text(payload, "]}\n") : r;
}

static int append_calls(struct work *work, struct buffer *payload)
{
    struct entry *entries = (struct entry *)(void *)work->entries.bytes;
    char left_out[NUMBER_SIZE];
    size_t done = 0, count;
    int r = 0;

    if (work->entry_count > 0)
        qsort(entries, work->entry_count, sizeof(*entries), compare);
    for (; r == 0 && done < work->entry_count; done += count) {
        count = count_for_call(entries + done, work->entry_count - done);
        r = append_call(work, entries + done, count, payload);
    }
    (void)snprintf(left_out, sizeof(left_out), "%llu\n", (unsigned long long)work->left_out);
    return r == 0 && work->left_out > 0 ? append_text(payload, left_out) : r;
}

int cloudwatch_events_append(const struct log_event *const *events, size_t count,
                             const struct cloudwatch_options *options, struct cloudwatch_room *room,
                             struct buffer *payload)
{
    struct work work = {.options = options, .room = room};
    const struct cloudwatch_room before = *room;
    size_t length = payload->length;
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = events[i]->text.length > 0 ? add_event(&work, events[i]) : 0;
    if (r == 0)
        r = append_calls(&work, payload);
    if (r < 0) {
        payload->length = length;
        *room = before;
    }
    work_deinit(&work);
    return r;
}
