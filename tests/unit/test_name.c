/* SPDX-License-Identifier: Apache-2.0 */
/* The socket's name is missed, whenever it goes. */
#include "exporters/agent/name.h"

#include "exporters/agent/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    struct loop *loop;
    char root[64], folder[80], path[96];
    int lost_count;
    int goes_again; /* so often is the name removed again before it is watched */
} test;

static void make_name(void)
{
    int fd;

    assert_true(mkdir(test.folder, 0700) == 0 || access(test.folder, F_OK) == 0);
    fd = open(test.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void remove_folder(void)
{
    (void)unlink(test.path);
    (void)rmdir(test.folder);
}

static void restore(void)
{
    test.lost_count++;
    make_name();
    if (test.goes_again > 0) {
        test.goes_again--;
        remove_folder();
    }
}

static int set_up(void **state)
{
    (void)state;
    memset(&test, 0, sizeof(test));
    (void)snprintf(test.root, sizeof(test.root), "/tmp/spanshim-name-XXXXXX");
    assert_non_null(mkdtemp(test.root));
    (void)snprintf(test.folder, sizeof(test.folder), "%s/run", test.root);
    (void)snprintf(test.path, sizeof(test.path), "%s/agent.sock", test.folder);
    make_name();
    assert_int_equal(loop_new(&test.loop), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    name_unwatch();
    loop_free(test.loop);
    remove_folder();
    return rmdir(test.root);
}

/* A timer that comes so many rounds of the loop long. */
static struct {
    struct loop_timer timer;
    int left;
} rounds;

static void end_round(void *arg)
{
    (void)arg;
    if (--rounds.left == 0)
        loop_stop(test.loop);
    else
        assert_int_equal(loop_timer_set(test.loop, &rounds.timer, 0), 0);
}

/* What is noticed is in the kernel's queue at once; what is done about it may be noticed in the next round. */
static void run(void)
{
    rounds.timer.fn = end_round;
    rounds.left = 50;
    assert_int_equal(loop_timer_set(test.loop, &rounds.timer, 0), 0);
    assert_int_equal(loop_run(test.loop), 0);
}

static void test_name_that_stays_is_not_missed(void **state)
{
    (void)state;
    assert_int_equal(name_watch(test.loop, test.path, restore), 0);
    run();
    assert_int_equal(test.lost_count, 0);
}

static void test_name_is_missed_when_it_goes(void **state)
{
    (void)state;
    assert_int_equal(name_watch(test.loop, test.path, restore), 0);
    for (int i = 1; i <= 3; i++) {
        if (i == 2)
            remove_folder();
        else
            assert_int_equal(unlink(test.path), 0);
        run();
        assert_int_equal(test.lost_count, i);
        assert_int_equal(access(test.path, F_OK), 0);
    }
}

static void test_name_that_went_before_it_was_watched_is_missed(void **state)
{
    (void)state;
    assert_int_equal(unlink(test.path), 0);
    assert_int_equal(name_watch(test.loop, test.path, restore), 0);
    assert_int_equal(test.lost_count, 1);
}

static void test_folder_that_went_before_it_was_watched_is_missed(void **state)
{
    (void)state;
    remove_folder();
    assert_int_equal(name_watch(test.loop, test.path, restore), 0);
    assert_int_equal(test.lost_count, 1);
    assert_int_equal(unlink(test.path), 0);
    run();
    assert_int_equal(test.lost_count, 2);
}

/* As a cleaner does that runs at the same time. */
static void test_name_that_goes_again_while_it_is_put_back_is_missed(void **state)
{
    (void)state;
    assert_int_equal(name_watch(test.loop, test.path, restore), 0);
    test.goes_again = 1;
    assert_int_equal(unlink(test.path), 0);
    run();
    assert_int_equal(test.lost_count, 2);
    assert_int_equal(access(test.path, F_OK), 0);
}

static void test_name_that_goes_for_ever_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(name_watch(test.loop, test.path, restore), 0);
    test.goes_again = 1000;
    assert_int_equal(unlink(test.path), 0);
    run();
    assert_in_range(test.lost_count, 2, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_name_that_stays_is_not_missed),
        TEST(test_name_is_missed_when_it_goes),
        TEST(test_name_that_went_before_it_was_watched_is_missed),
        TEST(test_folder_that_went_before_it_was_watched_is_missed),
        TEST(test_name_that_goes_again_while_it_is_put_back_is_missed),
        TEST(test_name_that_goes_for_ever_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
