/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/link.h"

#include "preload/clock.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/wire.h"
#include "tests/support/shim_core.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The agent's end, in the parent; the shim's end is a child each time, for a process ties itself up once. */
static struct {
    char folder[64], path[96], setting[128];
    int listener;
} agent;

static struct {
    struct wire_message header;
    char text[WIRE_MESSAGE_MAX];
    size_t length;
    int fds[2];
} message;

static int setup(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)state;
    strcpy(agent.folder, "/tmp/spanshim-link.XXXXXX");
    if (!mkdtemp(agent.folder))
        return -1;
    snprintf(agent.path, sizeof(agent.path), "%s/agent.sock", agent.folder);
    snprintf(agent.setting, sizeof(agent.setting), "SPANSHIM_AGENT=%s", agent.path);
    strcpy(address.sun_path, agent.path);
    agent.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return bind(agent.listener, (struct sockaddr *)&address, sizeof(address)) || listen(agent.listener, 8);
}

static int teardown(void **state)
{
    (void)state;
    close(agent.listener);
    unlink(agent.path);
    return rmdir(agent.folder);
}

/* A child with the core started; its exit status. */
static int status_of(int (*run)(void))
{
    char *environment[] = {agent.setting, (char *)(uintptr_t) "SPANSHIM_QUERY=wrong", NULL};
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (!shim_core_init(environment))
            _exit(100);
        atomic_store(&process_active, 0);
        link_init((char *[]){NULL});
        _exit(run());
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Take the hand-over that a child has left; false when there is none. */
static bool take_message(void)
{
    struct iovec pieces[2] = {{&message.header, sizeof(message.header)}, {message.text, sizeof(message.text)}};
    union {
        char space[CMSG_SPACE(sizeof(message.fds))];
        struct cmsghdr align;
    } ancillary;
    struct msghdr header = {
        .msg_iov = pieces, .msg_iovlen = 2, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
    int connection;
    ssize_t length;

    (void)fcntl(agent.listener, F_SETFL, O_NONBLOCK);
    connection = accept(agent.listener, NULL, NULL);
    if (connection < 0)
        return false;
    length = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
    close(connection);
    if (length < (ssize_t)sizeof(message.header) || !CMSG_FIRSTHDR(&header))
        return false;
    message.length = (size_t)length - sizeof(message.header);
    memcpy(message.fds, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(message.fds));
    return true;
}

static bool has_entry(const char *wanted)
{
    const char *end = message.text + message.length;

    for (const char *entry = message.text; entry < end; entry += strlen(entry) + 1)
        if (strcmp(entry, wanted) == 0)
            return true;
    return false;
}

static void close_message(void)
{
    close(message.fds[0]);
    close(message.fds[1]);
}

/* The lowest free descriptor, and whether any beyond it is open. */
static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int tie_up(void)
{
    int before = open_descriptors();

    errno = ENOTTY;
    link_ensure();
    if (errno != ENOTTY)
        return 1;
    if (!process_active || !ring_lane())
        return 2;
    if (open_descriptors() != before)
        return 3;
    link_ensure(); /* once */
    return 0;
}

static void test_link_hands_over(void **state)
{
    struct wire_ring *ring;
    struct stat status;

    (void)state;
    assert_int_equal(status_of(tie_up), 0);
    assert_true(take_message());
    assert_int_equal(message.header.magic, WIRE_MAGIC);
    assert_int_equal(message.header.version, WIRE_VERSION);
    assert_int_equal(message.header.type, WIRE_MESSAGE_HANDOVER);
    assert_int_equal(message.header.text_length, message.length);
    assert_true(has_entry("atest"));
    assert_true(has_entry("eSPANSHIM_QUERY=wrong"));
    assert_int_equal(message.text[0], 'x');
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(message.fds[i], F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
    assert_int_equal(fstat(message.fds[0], &status), 0);
    ring = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, message.fds[0], 0);
    assert_ptr_not_equal(ring, MAP_FAILED);
    assert_int_equal(ring->mapping_size, status.st_size);
    assert_int_equal(ring->version, WIRE_VERSION);
    assert_int_equal(shim_core_lane(ring, 0)->owner, message.header.pid);
    (void)munmap(ring, (size_t)status.st_size);
    close_message();
    assert_false(take_message());
}

static int be_switched_off(void)
{
    struct wire_control *control;

    link_ensure();
    if (!take_message())
        return 1;
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, message.fds[1], 0);
    if (control == MAP_FAILED || !process_active)
        return 2;
    control->disabled = 1;
    link_ensure();
    if (process_active)
        return 3;
    link_before_uid_change();
    return process_active || take_message() ? 4 : 0;
}

static void test_link_obeys_the_switch(void **state)
{
    (void)state;
    assert_int_equal(status_of(be_switched_off), 0);
}

static int tie_up_under_a_file_size_limit(void)
{
    const struct rlimit limit = {2 << 20, 2 << 20};

    (void)setrlimit(RLIMIT_FSIZE, &limit); /* beyond it the kernel sends SIGXFSZ */
    return tie_up();
}

static void test_link_fits_the_file_size_limit(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(status_of(tie_up_under_a_file_size_limit), 0);
    assert_true(take_message());
    assert_int_equal(fstat(message.fds[0], &status), 0);
    assert_in_range(status.st_size, 1, 2 << 20);
    close_message();
}

static int give_up(void)
{
    int before = open_descriptors();

    errno = ENOTTY;
    link_ensure();
    if (errno != ENOTTY || process_active || ring_current())
        return 1;
    if (open_descriptors() != before)
        return 2;
    return 0;
}

static int give_up_without_room(void)
{
    const struct rlimit limit = {1000, 1000};

    (void)setrlimit(RLIMIT_FSIZE, &limit);
    return give_up();
}

static int give_up_without_descriptors(void)
{
    const struct rlimit limit = {3, 3};

    (void)setrlimit(RLIMIT_NOFILE, &limit);
    errno = ENOTTY;
    link_ensure();
    return errno != ENOTTY || process_active || ring_current();
}

/* The standard ones are closed and there are no others: not even for a moment is one of them ours. */
static int give_up_with_standard_descriptors_only(void)
{
    const struct rlimit limit = {3, 3};

    close(0);
    close(1);
    close(2);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return give_up();
}

static int tie_up_without_standard_descriptors(void)
{
    close(0);
    close(1);
    close(2);
    return tie_up();
}

static void test_link_keeps_off_the_standard_descriptors(void **state)
{
    (void)state;
    assert_int_equal(status_of(tie_up_without_standard_descriptors), 0);
    assert_true(take_message());
    close_message();
    assert_int_equal(status_of(give_up_with_standard_descriptors_only), 0);
    assert_false(take_message());
}

static int give_up_in_a_sandbox(void)
{
    atomic_store(&process_sandboxed, 1);
    return give_up();
}

static int give_up_in_a_vfork_child(void)
{
    process_in_vfork = 1;
    return give_up();
}

static void test_link_gives_up_quietly(void **state)
{
    (void)state;
    assert_int_equal(status_of(give_up_without_descriptors), 0);
    assert_int_equal(status_of(give_up_in_a_sandbox), 0);
    assert_int_equal(status_of(give_up_in_a_vfork_child), 0);
    assert_false(take_message());
    assert_int_equal(status_of(give_up_without_room), 0);
    unlink(agent.path);
    assert_int_equal(status_of(give_up), 0);
}

/* A stopped agent whose backlog is full: a failed call, and no wait. */
static void test_link_does_not_wait_for_a_stopped_agent(void **state)
{
    int fds[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int count = 0;

    (void)state;
    strcpy(address.sun_path, agent.path);
    for (; count < 64; count++) {
        fds[count] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[count], (struct sockaddr *)&address, sizeof(address)))
            break;
    }
    assert_in_range(count, 1, 63);
    assert_int_equal(status_of(give_up), 0);
    for (int i = 0; i <= count; i++)
        close(fds[i]);
}

/* Each failed try is followed by a pause; until it is over nothing is tried. 4: it was over. */
static int wait_between_tries(void)
{
    const uint64_t start_ns = clock_mono_ns();
    char other[128];

    snprintf(other, sizeof(other), "%s.away", agent.path);
    if (rename(agent.path, other))
        return 1;
    link_ensure();
    if (rename(other, agent.path))
        return 2;
    link_ensure();
    if (process_active && clock_mono_ns() - start_ns > 1000000000)
        return 4;
    return process_active ? 3 : 0;
}

static void test_link_pauses_after_a_failure(void **state)
{
    int status;

    (void)state;
    while ((status = status_of(wait_between_tries)) == 4) {
        if (take_message())
            close_message();
    }
    assert_int_equal(status, 0);
    assert_false(take_message());
}

/* A worker that drops its rights, in its parent's ring until then. */
static int change_user(void)
{
    struct wire_ring *before = ring_current();
    struct wire_ring *own;

    link_before_uid_change();
    own = ring_current();
    link_before_uid_change(); /* file servers change to and fro for each request */
    return own == before || ring_current() != own || !ring_lane();
}

static int fork_and_change_user(void)
{
    struct wire_ring *before;
    int status;
    pid_t child;

    link_ensure();
    before = ring_current();
    link_before_uid_change();
    if (ring_current() != before)
        return 1;
    child = fork();
    if (child == 0)
        _exit(change_user());
    waitpid(child, &status, 0);
    return status != 0;
}

static void test_link_gives_a_changing_user_a_ring_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(status_of(fork_and_change_user), 0);
    assert_true(take_message());
    close_message();
    assert_true(take_message());
    close_message();
    assert_false(take_message());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_link_hands_over),
        TEST(test_link_obeys_the_switch),
        TEST(test_link_fits_the_file_size_limit),
        TEST(test_link_keeps_off_the_standard_descriptors),
        TEST(test_link_gives_up_quietly),
        TEST(test_link_does_not_wait_for_a_stopped_agent),
        TEST(test_link_pauses_after_a_failure),
        TEST(test_link_gives_a_changing_user_a_ring_of_its_own),
    };

    (void)signal(SIGPIPE, SIG_DFL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
