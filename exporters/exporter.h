/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between the agent and a destination. A destination is a file that ends in its `struct exporter`, and a
 * row in exporters.def. It maps and encodes; queueing, retry, back-off and counting are deliver.c's; HTTP is
 * http_client.c's.
 *
 * What it encodes may wait on the disk, and be sent by another agent days later: whatever is in a payload must be all
 * that send() needs but the settings, and no secret (send() adds the headers).
 *
 * Context: everything here runs on the agent's loop thread and must not block: an answer that takes time comes later,
 * through `done`. */
#ifndef SPANSHIM_EXPORTER_H
#define SPANSHIM_EXPORTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer; /* encode/buffer.h */
struct span;
struct log_event;   /* agent/log_event.h */
struct settings;    /* agent/settings.h: one hand-over's settings, parsed by config.def */
struct http_client; /* agent/http_client.h */
struct loop;        /* agent/loop.h */

enum exporter_outcome {
    EXPORTER_SENT,  /* accepted; rejected_count of its items were refused for good, limited_count not sent */
    EXPORTER_RETRY, /* not accepted now; retry_after_ms says when to come again, 0: by back-off */
    EXPORTER_DROP,  /* refused for good */
};

struct exporter_result {
    enum exporter_outcome outcome;
    uint32_t retry_after_ms;
    uint64_t rejected_count; /* as the receiver said */
    uint64_t limited_count;  /* of its items, those that a limit of the exporter's own left out */
    /* Empty (nothing new), or one line for people, with the remedy: "401: the header x-honeycomb-team is empty". */
    char error[256];
};

typedef void exporter_done(void *arg, const struct exporter_result *result);

/* What is exported: each kind has destinations, and a journal, of its own. */
enum signal { SIGNAL_TRACES, SIGNAL_LOGS, SIGNAL_COUNT };

/* Which spans it gets. */
enum exporter_takes {
    EXPORTER_TAKES_SAMPLED, /* those that OTEL_TRACES_SAMPLER keeps */
    EXPORTER_TAKES_XRAY,    /* those that X-Ray's own decision keeps */
    EXPORTER_TAKES_ALL,     /* all; the shim is asked for those that nobody keeps, too */
};

/* What an exporter's open() may use; outlives the instance. */
struct exporter_host {
    struct loop *loop;
    struct http_client *http;
};

struct exporter {
    const char *name; /* of its row. Traces: as the settings spell it; logs: see settle_logs.c */
    enum exporter_takes takes;
    bool takes_open;       /* also requests that have not ended yet, which are asked for by a setting */
    uint32_t max_delay_ms; /* a batch waits no longer than this; 0: as the settings say */
    uint32_t batch_size;   /* what is put into a batch at most; 0: as the settings say */
    /* Where it sends to, for people: no user, no password, no query. */
    void (*describe)(const struct settings *settings, char *text, size_t size);
    /* What the form of its payloads depends on: "http/json, gzip". NULL: it has one form. */
    void (*describe_form)(const struct settings *settings, char *text, size_t size);
    /* An instance for these settings (borrowed; outlive it). 0, or -errno with one line in `error`. */
    int (*open)(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                char error[256]);
    /* A batch as one payload, appended to `payload` (empty when called). 0; -ENOMEM: to be tried again; else -errno:
     * the batch is dropped, counted. NULL: it takes no spans, or by send_spans. */
    int (*encode_spans)(void *instance, const struct span *const *spans, size_t count, struct buffer *payload);
    /* Events of logs likewise: then it is a destination of logs, and gets no spans. */
    int (*encode_logs)(void *instance, const struct log_event *const *events, size_t count, struct buffer *payload);
    /* A report (crash/report.h) likewise. -ENOTSUP: it takes none of this kind. -ECANCELED: it is not to be sent, by a
     * limit of the exporter's own; counted as such. NULL: it takes no reports. */
    int (*encode_report)(void *instance, const json_t *report, struct buffer *payload);
    /* Send a payload that is borrowed until done, or close; call done(arg, ...) exactly once, now or later. At most one
     * send is under way per instance. */
    void (*send)(void *instance, const void *payload, size_t length, exporter_done *done, void *arg);
    /* For a destination on this machine, which needs no queue on the disk, in place of encode_spans: take the batch
     * (borrowed until this returns), then as send. */
    void (*send_spans)(void *instance, const struct span *const *spans, size_t count, exporter_done *done, void *arg);
    /* The same of events of logs, in place of encode_logs. */
    void (*send_logs)(void *instance, const struct log_event *const *events, size_t count, exporter_done *done,
                      void *arg);
    /* Hand out now what the instance holds back for a while after done(). NULL: it holds nothing back. */
    void (*flush)(void *instance);
    /* Free the instance; a send under way is abandoned and its done is not called. NULL is accepted. */
    void (*close)(void *instance);
};

/* Is it a destination of logs? Context: pure. */
static inline bool exporter_is_of_logs(const struct exporter *exporter)
{
    return exporter->encode_logs != NULL || exporter->send_logs != NULL;
}

/* On this machine, without a queue on the disk? Context: pure. */
static inline bool exporter_is_local(const struct exporter *exporter)
{
    return exporter->send_spans != NULL || exporter->send_logs != NULL;
}

/* The rows of exporters.def. */
#define EXPORTER(name) extern const struct exporter exporter_##name;
#include "exporters/exporters.def"
#undef EXPORTER

#endif
