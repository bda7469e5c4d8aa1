/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of a destination's queue share: a loop, a journal, and an exporter that answers as the test says. */
#ifndef SPANSHIM_DELIVER_FIXTURE_H
#define SPANSHIM_DELIVER_FIXTURE_H

#include "exporters/agent/deliver.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)

enum { BATCHES_MAX = 30000, DEADLINE_MS = 20000, FOREVER_MS = 60000, GONE = 99 };

/* An exporter that answers as the test says, at once or when the test does. */
extern struct deliver_fake {
    struct exporter_result answers[8]; /* in turn; the last one stays */
    size_t answer_count;
    bool holds_back; /* the test answers by release() */
    bool fails_to_open;
    int encode_error;
    exporter_done *done;
    void *arg;
    size_t batch_count;
    size_t batch_sizes[BATCHES_MAX];
    unsigned first_of_batch[BATCHES_MAX]; /* the number put into the span's id */
    uint64_t sent_at_ns[BATCHES_MAX];
    size_t wanted; /* batches after which the loop stops */
} fake;

extern struct loop *loop;
extern struct journal *journal;
extern struct process process;
extern struct settings *settings;
extern struct deliver *deliver;
extern struct spool *spool;
extern char folder[64];
extern unsigned idle_count;

extern struct deliver_flushes {
    unsigned count;
    struct destinations_flushed last;
} flushes;

/* cmocka: a loop, a journal and settings; deliver is made by start(). Context: main thread, as all here. */
int set_up(void **state);
int tear_down(void **state);
/* Make `deliver`. */
void start(void);
/* The same with a queue on the disk. */
int set_up_spool(void **state);
int tear_down_spool(void **state);
/* Records of this source into the journal. */
void append_from(uint32_t source, unsigned count);
void append(unsigned count);
/* Those that are for other exporters. */
void append_for_others(unsigned count);
void stop_loop(void *arg);
/* Until so many batches were sent. */
void run_until_sent(size_t batches);
/* A counter of the status. */
json_int_t count_of(const char *key, const char *cause);
void assert_state(const char *expected);
void on_flushed(void *arg, const struct destinations_flushed *flushed);
/* Its end is in `flushes`. */
void flush(void);
/* A report of this number. */
void report(unsigned number);
/* The answer that was held back. */
void release(void);

#endif
