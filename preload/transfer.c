/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/transfer.h"

#include "preload/arena.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/current.h"
#include "preload/link.h"
#include "preload/process.h"
#include "preload/provider.h"
#include "preload/transfer_request.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

enum { BUCKETS = 256, HANDLES_MAX = 32768 };

/* Handles by address. A bucket's transfers are never taken out of it, but used again: so a look needs no lock. */
static _Atomic(struct transfer *) buckets[BUCKETS];
static _Atomic uint32_t handle_count; /* ever made */

static struct arena_pool agents = {.block_size = sizeof(struct transfer_agent)};

/* What the thread does for the program. Written by its own calls only. One that a callback jumped out of is still
 * there, but lies no higher on the stack than a later call. */
static _Thread_local struct transfer_call *inside;

/* Has any libcurl taken our callback? One before 7.80 doesn't, and what it connects is left to the hooks below. */
static _Atomic uint8_t is_called_back;

/* The call that this one, whose frame is at `frame`, was made out of. */
static struct transfer_call *outer_of(const void *frame)
{
    return (uintptr_t)inside > (uintptr_t)frame ? inside : NULL;
}

bool transfer_enter(struct transfer_call *call, enum hook_id id, const void *caller)
{
    bool is_libcurls;

    call->real = provider_hook_or_own(id, caller, &is_libcurls);
    call->is_programs = !is_libcurls;
    if (is_libcurls)
        return false;
    call->is_followed = true;
    call->outer = outer_of(call);
    inside = call;
    return true;
}

void transfer_leave(const struct transfer_call *call)
{
    if (call->is_programs)
        inside = call->outer;
}

bool transfer_is_libcurl(const void *code)
{
    static const char landmark[] = "curl_easy_perform"; /* whoever defines it is a libcurl */
    const struct transfer_call *call = outer_of(__builtin_frame_address(0));

    return call && call->is_followed && atomic_load_explicit(&is_called_back, memory_order_relaxed) &&
           provider_is_caller(landmark, code);
}

static _Atomic(struct transfer *) *bucket_of(const CURL *handle)
{
    return &buckets[((uintptr_t)handle * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}

static struct transfer *find(const CURL *handle)
{
    struct transfer *transfer = atomic_load_explicit(bucket_of(handle), memory_order_acquire);

    while (transfer && atomic_load_explicit(&transfer->handle, memory_order_relaxed) != handle)
        transfer = transfer->next;
    return transfer;
}

/* Make a new one, and put it into its bucket. */
static struct transfer *add(CURL *handle)
{
    _Atomic(struct transfer *) *bucket = bucket_of(handle);
    struct transfer *transfer = NULL;

    if (atomic_fetch_add_explicit(&handle_count, 1, memory_order_relaxed) < HANDLES_MAX)
        transfer = arena_alloc(sizeof(*transfer));
    if (!transfer) {
        atomic_fetch_sub_explicit(&handle_count, 1, memory_order_relaxed);
        return NULL;
    }
    atomic_store_explicit(&transfer->handle, handle, memory_order_relaxed);
    transfer->next = atomic_load_explicit(bucket, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bucket, &transfer->next, transfer, memory_order_release,
                                                  memory_order_relaxed))
        ;
    return transfer;
}

/* One whose handle has gone is used again. */
static struct transfer *claim(CURL *handle)
{
    struct transfer *transfer = atomic_load_explicit(bucket_of(handle), memory_order_acquire);

    for (; transfer; transfer = transfer->next) {
        void *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&transfer->handle, &none, handle, memory_order_acquire,
                                                    memory_order_relaxed))
            return transfer;
    }
    return add(handle);
}

static void agent_set(struct transfer *transfer, const char *text, size_t length)
{
    if (transfer->agent)
        arena_pool_put(&agents, transfer->agent);
    transfer->agent = length > 0 ? arena_pool_get(&agents) : NULL;
    if (!transfer->agent)
        return;
    transfer->agent->length = (uint32_t)length;
    memcpy(transfer->agent->text, text, length);
}

static void options_reset(struct transfer *transfer)
{
    agent_set(transfer, NULL, 0);
    transfer->headers = NULL;
    transfer->prereq = NULL;
    transfer->prereq_data = NULL;
    transfer->connects_only = false;
    transfer->calls_back = false;
}

void transfer_born(CURL *handle)
{
    struct transfer *transfer = find(handle); /* one that was freed where we don't see it */

    if (!transfer)
        transfer = claim(handle);
    if (!transfer)
        return;
    options_reset(transfer);
    atomic_store_explicit(&transfer->multi, NULL, memory_order_relaxed);
    transfer->legs = NULL;
}

void transfer_reset(CURL *handle)
{
    struct transfer *transfer = find(handle);

    if (transfer)
        options_reset(transfer);
}

bool transfer_option(CURL *handle, CURLoption option, void *value)
{
    struct transfer *transfer = find(handle);

    if (!transfer)
        return false;
    switch ((int)option) {
    case CURLOPT_HTTPHEADER:
        transfer->headers = value;
        if (transfer->legs)
            transfer->legs->has_list = false;
        return false;
    case CURLOPT_USERAGENT:
        agent_set(transfer, value, value ? strnlen(value, TRANSFER_AGENT_SIZE) : 0);
        return false;
    case CURLOPT_CONNECT_ONLY:
        transfer->connects_only = (long)(intptr_t)value != 0;
        return false;
    case LIBCURL_OPT_PREREQFUNCTION:
        transfer->prereq = (libcurl_prereq *)value;
        break;
    case LIBCURL_OPT_PREREQDATA:
        transfer->prereq_data = value;
        break;
    }
    return transfer->calls_back;
}

/* What the program had set, for a copy of a handle that has ours. */
static void options_restore(const struct transfer *original, CURL *copy, const void *caller)
{
    __typeof__(&curl_easy_setopt) setopt = provider_function("curl_easy_setopt", caller);

    if (!setopt)
        return;
    (void)setopt(copy, CURLOPT_HTTPHEADER, original->headers);
    (void)setopt(copy, (CURLoption)LIBCURL_OPT_PREREQFUNCTION, original->prereq);
    (void)setopt(copy, (CURLoption)LIBCURL_OPT_PREREQDATA, original->prereq_data);
}

void transfer_copied(CURL *of, CURL *copy, const void *caller)
{
    const struct transfer *original = find(of);
    struct transfer *transfer;

    if (!original)
        return; /* the copy's options are as unknown */
    transfer_born(copy);
    transfer = find(copy);
    if (original->calls_back)
        options_restore(original, copy, caller);
    if (!transfer)
        return;
    transfer->headers = original->headers;
    transfer->prereq = original->prereq;
    transfer->prereq_data = original->prereq_data;
    transfer->connects_only = original->connects_only;
    if (original->agent)
        agent_set(transfer, original->agent->text, original->agent->length);
}

/* libcurl is about to send a request. */
static int on_request(void *data, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
    struct transfer *transfer = data;
    int saved_errno = errno;
    int verdict = 0;

    if (transfer->prereq)
        verdict = transfer->prereq(transfer->prereq_data, peer_ip, local_ip, peer_port, local_port);
    if (verdict == 0 && transfer->legs) {
        saved_errno = errno;
        transfer_request_begin(transfer, peer_ip, peer_port, local_ip, local_port);
        errno = saved_errno;
    }
    return verdict;
}

/* Give libcurl our callback, which stays with the handle. False when it doesn't know such a thing. */
static bool call_back(struct transfer *transfer, const void *caller)
{
    __typeof__(&curl_easy_setopt) setopt;

    if (transfer->calls_back)
        return true;
    setopt = provider_function("curl_easy_setopt", caller);
    if (!setopt || setopt(transfer->handle, (CURLoption)LIBCURL_OPT_PREREQFUNCTION, on_request) != CURLE_OK)
        return false;
    (void)setopt(transfer->handle, (CURLoption)LIBCURL_OPT_PREREQDATA, transfer);
    transfer->calls_back = true;
    atomic_store_explicit(&is_called_back, 1, memory_order_relaxed);
    return true;
}

static bool follow(struct transfer *transfer, CURLM *multi, const void *caller)
{
    struct request_ref parent = current_get();

    transfer->legs = transfer_legs_new(&parent, clock_mono_ns(), caller);
    if (!transfer->legs)
        return false;
    if (!call_back(transfer, caller)) {
        transfer_legs_free(transfer->legs);
        transfer->legs = NULL;
        return false;
    }
    atomic_store_explicit(&transfer->multi, multi, memory_order_relaxed);
    return true;
}

bool transfer_begin(CURL *handle, CURLM *multi, const void *caller)
{
    struct transfer *transfer = find(handle);
    int saved_errno = errno;
    bool begins = false;

    if (!transfer || transfer->legs || transfer->connects_only)
        return false;
    link_ensure();
    if (config.client_mode != CLIENT_OFF && process_in_vfork == 0 && link_is_near()) {
        process_check_fork();
        begins = follow(transfer, multi, caller);
    }
    errno = saved_errno;
    return begins;
}

/* Its handle is as the program made it. */
static void finish(struct transfer *transfer)
{
    transfer_list_restore(transfer);
    transfer_legs_free(transfer->legs);
    transfer->legs = NULL;
    atomic_store_explicit(&transfer->multi, NULL, memory_order_relaxed);
}

void transfer_end(CURL *handle, CURLcode result)
{
    struct transfer *transfer = find(handle);
    int saved_errno = errno;

    if (!transfer || !transfer->legs)
        return;
    transfer_request_end(transfer, result);
    finish(transfer);
    errno = saved_errno;
}

static void cancel(struct transfer *transfer)
{
    int saved_errno = errno;

    transfer_request_cancel(transfer);
    finish(transfer);
    errno = saved_errno;
}

void transfer_cancel(CURL *handle)
{
    struct transfer *transfer = find(handle);

    if (transfer && transfer->legs)
        cancel(transfer);
}

void transfer_gone(CURL *handle)
{
    struct transfer *transfer = find(handle);

    if (!transfer)
        return;
    if (transfer->legs)
        cancel(transfer);
    options_reset(transfer);
    atomic_store_explicit(&transfer->handle, NULL, memory_order_release);
}

void transfer_multi_gone(CURLM *multi)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct transfer *transfer = atomic_load_explicit(&buckets[i], memory_order_acquire); transfer;
             transfer = transfer->next)
            if (atomic_load_explicit(&transfer->multi, memory_order_relaxed) == multi && transfer->legs)
                cancel(transfer);
}
