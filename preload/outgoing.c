/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/outgoing.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t total(const struct iovec *iov, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++)
        length += iov[i].iov_len;
    return length;
}

void outgoing_begin(struct outgoing *outgoing)
{
    outgoing->callers = outgoing->accepted = outgoing->length = outgoing->sent = 0;
    outgoing->own_before = outgoing->own_length = 0;
    outgoing->omitted_count = outgoing->omitted_length = outgoing->replaced_length = 0;
}

bool outgoing_omit(struct outgoing *outgoing, size_t at, size_t length)
{
    return outgoing_replace(outgoing, at, length, "", 0);
}

bool outgoing_replace(struct outgoing *outgoing, size_t at, size_t length, const char *replacement,
                      size_t replacement_length)
{
    uint32_t number = outgoing->omitted_count;

    if (number == OUTGOING_OMITTED_MAX)
        return false;
    outgoing->omitted_count++;
    outgoing->omitted[number].at = (uint32_t)at;
    outgoing->omitted[number].length = (uint32_t)length;
    outgoing->omitted[number].replacement_length = (uint32_t)replacement_length;
    memcpy(outgoing->omitted[number].replacement, replacement, replacement_length);
    outgoing->omitted_length += (uint32_t)length;
    outgoing->replaced_length += (uint32_t)replacement_length;
    return true;
}

/* Where our lines stand in bytes[]. */
static size_t own_place(const struct outgoing *outgoing)
{
    return outgoing->own_before - outgoing->omitted_length + outgoing->replaced_length;
}

/* Which of bytes[] follows the program's first `callers` ones: our lines come after that. */
static size_t place_of(const struct outgoing *outgoing, size_t callers)
{
    size_t place = callers;

    if (callers == outgoing->callers)
        return outgoing->length;
    for (uint32_t i = 0; i < outgoing->omitted_count; i++) {
        size_t at = outgoing->omitted[i].at;

        if (callers > at)
            place =
                place - smaller(callers - at, outgoing->omitted[i].length) + outgoing->omitted[i].replacement_length;
    }
    return callers > outgoing->own_before ? place + outgoing->own_length : place;
}

/* How many of the program's bytes the first `sent` of bytes[] stand for. */
static size_t callers_of(const struct outgoing *outgoing, size_t sent)
{
    size_t own_at = own_place(outgoing);
    size_t callers = sent;

    if (sent == outgoing->length)
        return outgoing->callers;
    if (sent > own_at)
        callers = sent <= own_at + outgoing->own_length ? own_at : sent - outgoing->own_length;
    for (uint32_t i = 0; i < outgoing->omitted_count && outgoing->omitted[i].at <= callers; i++) {
        if (callers < outgoing->omitted[i].at + outgoing->omitted[i].replacement_length)
            return outgoing->omitted[i].at;
        callers = callers - outgoing->omitted[i].replacement_length + outgoing->omitted[i].length;
    }
    /* The rest has to wait for another call of the program's, so the program must have some bytes left to send. */
    return callers < outgoing->callers ? callers : outgoing->callers - 1;
}

/* Copy the program's bytes from..to to the end of bytes[]. */
static void take(struct outgoing *outgoing, const struct iovec *iov, size_t from, size_t to)
{
    for (size_t at = 0; from < to; at += iov->iov_len, iov++) {
        size_t length;

        if (from >= at + iov->iov_len)
            continue;
        length = smaller(to, at + iov->iov_len) - from;
        memcpy(outgoing->bytes + outgoing->length, (const char *)iov->iov_base + (from - at), length);
        outgoing->length += (uint32_t)length;
        from += length;
    }
}

void outgoing_build(struct outgoing *outgoing, const struct iovec *iov, size_t callers, size_t own_before,
                    size_t own_length)
{
    size_t from = 0;

    for (uint32_t i = 0; i < outgoing->omitted_count; i++) {
        take(outgoing, iov, from, outgoing->omitted[i].at);
        memcpy(outgoing->bytes + outgoing->length, outgoing->omitted[i].replacement,
               outgoing->omitted[i].replacement_length);
        outgoing->length += outgoing->omitted[i].replacement_length;
        from = outgoing->omitted[i].at + outgoing->omitted[i].length;
    }
    take(outgoing, iov, from, own_before);
    memcpy(outgoing->bytes + outgoing->length, outgoing->own, own_length);
    outgoing->length += (uint32_t)own_length;
    take(outgoing, iov, own_before, callers);
    outgoing->callers = (uint32_t)callers;
    outgoing->own_before = (uint32_t)own_before;
    outgoing->own_length = (uint32_t)own_length;
}

static bool is_omitted(const struct outgoing *outgoing, size_t number)
{
    for (uint32_t i = 0; i < outgoing->omitted_count; i++)
        if (number - outgoing->omitted[i].at < outgoing->omitted[i].length)
            return true;
    return false;
}

bool outgoing_is_offered(const struct outgoing *outgoing, const struct iovec *iov, int count)
{
    size_t number = outgoing->accepted;

    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < iov[i].iov_len && number < outgoing->callers; at++, number++) {
            size_t place = place_of(outgoing, number) + (number == outgoing->own_before ? outgoing->own_length : 0);

            if (!is_omitted(outgoing, number) && outgoing->bytes[place] != ((const char *)iov[i].iov_base)[at])
                return false;
        }
    return true;
}

void outgoing_cut(struct outgoing *outgoing)
{
    size_t own_at = own_place(outgoing);

    outgoing->length = outgoing->sent;
    if (outgoing->sent > own_at && outgoing->sent < own_at + outgoing->own_length)
        outgoing->length = (uint32_t)(own_at + outgoing->own_length);
    outgoing->callers = outgoing->accepted;
}

/* The buffers of a call: `own` bytes of ours, then the program's but for the first `skip`. */
static int gather(struct outgoing *outgoing, size_t own, const struct iovec *iov, int count, size_t skip)
{
    int n = 0;

    if (own > 0)
        outgoing->iov[n++] = (struct iovec){outgoing->bytes + outgoing->sent, own};
    for (int i = 0; i < count && n < OUTGOING_VECTOR_MAX; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        outgoing->iov[n++] = (struct iovec){(char *)iov[i].iov_base + skip, iov[i].iov_len - skip};
        skip = 0;
    }
    return n;
}

/* The same in one buffer; what finds no room is left for another call. */
static int gather_one(struct outgoing *outgoing, size_t own, const struct iovec *iov, size_t skip)
{
    size_t more = smaller(iov->iov_len - skip, OUTGOING_BYTES - outgoing->length);

    if (own == 0) {
        outgoing->iov[0] = (struct iovec){(char *)iov->iov_base + skip, iov->iov_len - skip};
        return 1;
    }
    memcpy(outgoing->bytes + outgoing->sent + own, (const char *)iov->iov_base + skip, more);
    outgoing->iov[0] = (struct iovec){outgoing->bytes + outgoing->sent, own + more};
    return 1;
}

/* One real call. Returns how many of the program's bytes were taken: none may be, if some of ours were. *ret_all: the
 * kernel took what it was given. */
static ssize_t send_once(struct outgoing *outgoing, const struct conn_sender *sender, const struct iovec *iov,
                         int count, bool *ret_all)
{
    size_t offered = total(iov, count);
    size_t skip = smaller(offered, outgoing->callers - outgoing->accepted); /* what stands in bytes[] already */
    size_t own = place_of(outgoing, outgoing->accepted + skip) - outgoing->sent;
    size_t rest = offered - skip, taken, accepted;
    ssize_t n;

    if (rest > 0 || outgoing->callers == outgoing->accepted)
        own = outgoing->length - outgoing->sent;
    if (own == 0 && rest == 0) { /* all of it is left out */
        outgoing->accepted += (uint32_t)skip;
        return (ssize_t)skip;
    }
    count = sender->takes_one ? gather_one(outgoing, own, iov, skip) : gather(outgoing, own, iov, count, skip);
    n = sender->send(sender, outgoing->iov, count);
    if (n < 0)
        return -1;
    *ret_all = (size_t)n == total(outgoing->iov, count);
    taken = smaller((size_t)n, own);
    outgoing->sent += (uint32_t)taken;
    accepted = smaller(callers_of(outgoing, outgoing->sent), outgoing->accepted + skip);
    accepted = accepted > outgoing->accepted ? accepted - outgoing->accepted : 0;
    outgoing->accepted += (uint32_t)accepted;
    return (ssize_t)(accepted + ((size_t)n - taken));
}

ssize_t outgoing_send(struct outgoing *outgoing, const struct conn_sender *sender, const struct iovec *iov, int count)
{
    size_t offered = total(iov, count);
    bool all = false;
    struct iovec rest;
    ssize_t n, more;

    if (offered == 0)
        return sender->send(sender, iov, count);
    do /* the program can't be told of bytes that are ours: the kernel has to say that it takes no more */
        n = send_once(outgoing, sender, iov, count, &all);
    while (n == 0);
    if (n < 0 || !all || !sender->takes_one || (size_t)n == offered)
        return n;
    rest = (struct iovec){(char *)iov->iov_base + n, offered - (size_t)n}; /* one buffer was too short for it */
    more = sender->send(sender, &rest, 1);
    return more > 0 ? n + more : n;
}

int outgoing_send_rest(struct outgoing *outgoing, const struct conn_sender *sender)
{
    while (outgoing->sent < outgoing->length) {
        const struct iovec rest = {outgoing->bytes + outgoing->sent, outgoing->length - outgoing->sent};
        ssize_t n = sender->send(sender, &rest, 1);

        if (n < 0)
            return -1;
        outgoing->sent += (uint32_t)n;
    }
    return 0;
}
