/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What a worker that ended like this was looking into. */
static uint32_t end_while(void (*work)(void))
{
    pid_t worker = fork();

    if (worker == 0) {
        work();
        _exit(0);
    }
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    return reading_take();
}

static void look_into_seven(void)
{
    (void)reading_begin(7);
}

static void look_into_eight_from_seven_and_come_back(void)
{
    (void)reading_begin(7);
    reading_end(reading_begin(8));
}

static void look_and_finish(void)
{
    reading_end(reading_begin(7));
}

static void test_reading_outlives_the_worker(void **state)
{
    (void)state;
    assert_int_equal(end_while(look_into_seven), 7);
    assert_int_equal(reading_take(), 0); /* the next worker is not blamed for it */
    assert_int_equal(end_while(look_into_eight_from_seven_and_come_back), 7);
    assert_int_equal(end_while(look_and_finish), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading_outlives_the_worker)};

    return reading_init() ? EXIT_FAILURE : cmocka_run_group_tests(tests, NULL, NULL);
}
