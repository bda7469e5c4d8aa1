/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of a head that goes out in the program's place, against a kernel that takes any number of bytes. */
#include "preload/outgoing.h"
#include "preload/process.h"

#include "tests/support/shim_kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_A  "GET /x HTTP/1.1\r\n"
#define LINE_B  "traceparent: 00-old\r\n"
#define LINE_C  "Host: a\r\n"
#define LINE_D  "tracestate: old=1\r\n"
#define BLANK   "\r\n"
#define BODY    "the body, which is no part of the head"
#define OWN     "traceparent: 00-new\r\n"
#define CALLERS LINE_A LINE_B LINE_C LINE_D BLANK
#define WHOLE   CALLERS BODY
#define EDITED  LINE_A LINE_C OWN BLANK BODY

/* A head that ends with our own, behind a line that is left out; a text in it is replaced by a longer one. */
#define ENDED        LINE_A LINE_B LINE_C LINE_D
#define ENDED_EDITED "REPLACED" LINE_A_END LINE_C OWN
#define LINE_A_END   " /x HTTP/1.1\r\n"

static struct outgoing *outgoing;
static const char *whole, *edited; /* what the program sends, and what is to go out */

static int setup(void **state)
{
    (void)state;
    outgoing = malloc(sizeof(*outgoing));
    return outgoing && process_init() == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(outgoing);
    return 0;
}

static void build(void)
{
    struct iovec iov = {(void *)(uintptr_t)WHOLE, strlen(WHOLE)};

    memset(outgoing, 0xee, sizeof(*outgoing));
    outgoing_begin(outgoing);
    assert_true(outgoing_omit(outgoing, strlen(LINE_A), strlen(LINE_B)));
    assert_true(outgoing_omit(outgoing, strlen(LINE_A LINE_B LINE_C), strlen(LINE_D)));
    memcpy(outgoing->own, OWN, strlen(OWN));
    outgoing_build(outgoing, &iov, strlen(CALLERS), strlen(LINE_A LINE_B LINE_C LINE_D), strlen(OWN));
    whole = WHOLE;
    edited = EDITED;
    kernel_anew();
}

static void build_ended(void)
{
    struct iovec iov = {(void *)(uintptr_t)ENDED, strlen(ENDED)};

    memset(outgoing, 0xee, sizeof(*outgoing));
    outgoing_begin(outgoing);
    assert_true(outgoing_replace(outgoing, 0, 3, "REPLACED", 8));
    assert_true(outgoing_omit(outgoing, strlen(LINE_A), strlen(LINE_B)));
    assert_true(outgoing_omit(outgoing, strlen(LINE_A LINE_B LINE_C), strlen(LINE_D)));
    memcpy(outgoing->own, OWN, strlen(OWN));
    outgoing_build(outgoing, &iov, strlen(ENDED), strlen(ENDED), strlen(OWN));
    whole = ENDED;
    edited = ENDED_EDITED;
    kernel_anew();
}

/* As a program does that has these bytes to send: `piece` of them a call, again and again. */
static void send_all(bool takes_one, size_t piece, const size_t *takes)
{
    struct conn_sender sender = {.send = kernel_send, .takes_one = takes_one};
    size_t sent = 0;

    kernel_take(takes);
    while (sent < strlen(whole)) {
        size_t length = strlen(whole) - sent < piece ? strlen(whole) - sent : piece;
        struct iovec iov[2] = {{(void *)(uintptr_t)&whole[sent], length / 2},
                               {(void *)(uintptr_t)&whole[sent + length / 2], length - length / 2}};
        ssize_t n;

        if (takes_one)
            iov[0].iov_len = length;
        if (outgoing_is_over(outgoing)) {
            n = kernel_send(&sender, iov, takes_one ? 1 : 2);
        } else {
            assert_true(outgoing_is_offered(outgoing, iov, takes_one ? 1 : 2));
            n = outgoing_send(outgoing, &sender, iov, takes_one ? 1 : 2);
        }
        assert_int_not_equal(n, 0);
        assert_true(n <= (ssize_t)length);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            sent += (size_t)n;
    }
    assert_true(outgoing_is_over(outgoing));
    assert_int_equal(kernel.length, strlen(edited));
    assert_memory_equal(kernel.bytes, edited, strlen(edited));
}

static void test_outgoing_goes_out_in_one_call(void **state)
{
    static const size_t all[] = {SIZE_MAX};

    (void)state;
    for (int takes_one = 0; takes_one < 2; takes_one++) {
        build();
        send_all(takes_one, strlen(WHOLE), all);
        assert_int_equal(kernel.calls, 1);
    }
}

/* Cut at any byte, and at any two. */
static void test_outgoing_survives_every_cut(void **state)
{
    (void)state;
    for (size_t first = 0; first <= strlen(EDITED); first++)
        for (size_t second = 0; second <= strlen(EDITED) - first; second++) {
            const size_t takes[] = {first, second, 0, SIZE_MAX};

            build();
            send_all((first + second) % 2, strlen(WHOLE), takes);
            build_ended();
            send_all((first + second) % 2, strlen(ENDED), takes);
        }
}

/* And the program may offer less than it still has to send. */
static void test_outgoing_survives_every_piece(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= strlen(WHOLE); piece++)
        for (size_t first = 0; first <= strlen(EDITED); first++) {
            const size_t takes[] = {first, 1, SIZE_MAX};

            build();
            send_all(first % 2, piece, takes);
            build_ended();
            send_all(first % 2, piece, takes);
        }
}

static void test_outgoing_sees_that_other_bytes_are_offered(void **state)
{
    struct conn_sender sender = {.send = kernel_send, .takes_one = true};
    size_t own_at = strlen(LINE_A LINE_C);
    const size_t takes[] = {own_at + 3, 0, SIZE_MAX};
    struct iovec all = {(void *)(uintptr_t)WHOLE, strlen(WHOLE)};
    struct iovec other = {(void *)(uintptr_t) "something else", 14};

    (void)state;
    build();
    kernel_take(takes);
    assert_int_equal(outgoing_send(outgoing, &sender, &all, 1), strlen(LINE_A LINE_B LINE_C LINE_D));
    assert_false(outgoing_is_offered(outgoing, &other, 1));
    outgoing_cut(outgoing);
    assert_int_equal(outgoing_send(outgoing, &sender, &other, 1), -1);
    assert_int_equal(outgoing_send(outgoing, &sender, &other, 1), 14);
    assert_true(outgoing_is_over(outgoing));
    assert_int_equal(kernel.length, strlen(LINE_A LINE_C OWN "something else"));
    assert_memory_equal(kernel.bytes, LINE_A LINE_C OWN "something else", kernel.length);
}

/* What finds no room in one buffer goes out by a second call. */
static void test_outgoing_sends_a_long_body_whole(void **state)
{
    static const size_t all[] = {SIZE_MAX};
    struct conn_sender sender = {.send = kernel_send, .takes_one = true};
    char *bytes = malloc(strlen(CALLERS) + OUTGOING_BYTES);
    struct iovec iov = {bytes, strlen(CALLERS) + OUTGOING_BYTES};

    (void)state;
    assert_non_null(bytes);
    build();
    memcpy(bytes, CALLERS, strlen(CALLERS));
    memset(bytes + strlen(CALLERS), 'x', OUTGOING_BYTES);
    kernel_take(all);
    assert_int_equal(outgoing_send(outgoing, &sender, &iov, 1), iov.iov_len);
    assert_int_equal(kernel.calls, 2);
    assert_int_equal(kernel.length, strlen(LINE_A LINE_C OWN BLANK) + OUTGOING_BYTES);
    assert_memory_equal(kernel.bytes + strlen(LINE_A LINE_C OWN BLANK), bytes + strlen(CALLERS), OUTGOING_BYTES);
    free(bytes);
}

/* Buffers that find no room beside ours are left to the program's next call. */
static void test_outgoing_leaves_buffers_over(void **state)
{
    static const size_t takes[] = {5, SIZE_MAX};
    static struct iovec iov[OUTGOING_VECTOR_MAX];
    struct conn_sender sender = {.send = kernel_send};
    struct iovec head = {(void *)(uintptr_t)CALLERS, strlen(CALLERS)};

    (void)state;
    build();
    kernel_take(takes);
    assert_int_equal(outgoing_send(outgoing, &sender, &head, 1), 5);
    iov[0] = (struct iovec){(void *)(uintptr_t)&WHOLE[5], strlen(CALLERS) - 5 + 1};
    for (size_t i = 1; i < OUTGOING_VECTOR_MAX; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t) "x", 1};
    assert_int_equal(outgoing_send(outgoing, &sender, iov, OUTGOING_VECTOR_MAX),
                     strlen(CALLERS) - 5 + 1 + OUTGOING_VECTOR_MAX - 2);
    assert_int_equal(kernel.calls, 2);
}

static void test_outgoing_omits_no_more_lines_than_it_can(void **state)
{
    (void)state;
    outgoing_begin(outgoing);
    for (size_t i = 0; i < OUTGOING_OMITTED_MAX; i++)
        assert_true(outgoing_omit(outgoing, i * 10, 5));
    assert_false(outgoing_omit(outgoing, 1000, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outgoing_goes_out_in_one_call),
        cmocka_unit_test(test_outgoing_survives_every_cut),
        cmocka_unit_test(test_outgoing_survives_every_piece),
        cmocka_unit_test(test_outgoing_sees_that_other_bytes_are_offered),
        cmocka_unit_test(test_outgoing_sends_a_long_body_whole),
        cmocka_unit_test(test_outgoing_leaves_buffers_over),
        cmocka_unit_test(test_outgoing_omits_no_more_lines_than_it_can),
    };

    return cmocka_run_group_tests_name("outgoing", tests, setup, teardown);
}
