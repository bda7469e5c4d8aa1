/* SPDX-License-Identifier: Apache-2.0 */
/* Ways past a preload: the request is read by read(), but the answer goes by stdio, io_uring, AIO, a system call by
 * number or by assembly, or another program gives it; or the connection is closed so. Usage: fd_unseen [NAME...] */
#include "scenario.h"

#include <aio.h>
#include <err.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_LENGTH (sizeof SCENARIO_ANSWER - 1)
#define HEAD_LENGTH   (sizeof SCENARIO_ANSWER_HEAD - 1)

static long by_assembly(long number, long a, const void *b, size_t c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* A C server of the old school. */
static void by_stream(int fd)
{
    char line[256];
    FILE *stream = fdopen(dup(fd), "r+");

    while (fgets(line, sizeof line, stream) && line[0] != '\r')
        (void)printf("%s", line);
    TRY(fputs(SCENARIO_ANSWER, stream) >= 0);
    TRY(fclose(stream));
}

/* One that opens its stream when it knows what to say. */
static void by_late_stream(int fd)
{
    FILE *stream;

    scenario_take(fd);
    stream = fdopen(dup(fd), "w");
    TRY(fputs(SCENARIO_ANSWER, stream) >= 0);
    TRY(fclose(stream));
}

static void by_aio(int fd)
{
    static char answer[] = SCENARIO_ANSWER;
    struct aiocb block = {.aio_fildes = fd, .aio_buf = answer, .aio_nbytes = ANSWER_LENGTH};
    const struct aiocb *const blocks[1] = {&block};

    scenario_take(fd);
    TRY(aio_write(&block));
    TRY(aio_suspend(blocks, 1, NULL));
    TRY(aio_error(&block));
    TRY(aio_return(&block));
}

static void send_by_uring(int fd, const char *bytes, size_t length)
{
    struct io_uring ring;
    struct io_uring_cqe *done;
    int error = io_uring_queue_init(4, &ring, 0);

    if (error < 0) { /* forbidden here: the other ways must do */
        TRY(by_assembly(SYS_write, fd, bytes, length));
        return;
    }
    io_uring_prep_send(io_uring_get_sqe(&ring), fd, bytes, length, 0);
    TRY(io_uring_submit_and_wait(&ring, 1));
    TRY(io_uring_wait_cqe(&ring, &done));
    TRY(done->res);
    io_uring_queue_exit(&ring);
}

static void by_uring(int fd)
{
    scenario_take(fd);
    send_by_uring(fd, SCENARIO_ANSWER, ANSWER_LENGTH);
}

static void body_by_uring(int fd)
{
    scenario_take(fd);
    TRY(write(fd, SCENARIO_ANSWER_HEAD, HEAD_LENGTH));
    send_by_uring(fd, "hi", 2);
}

static void by_number(int fd)
{
    scenario_take(fd);
    TRY(syscall(SYS_write, fd, SCENARIO_ANSWER, ANSWER_LENGTH));
}

static void by_machine_code(int fd)
{
    scenario_take(fd);
    TRY(by_assembly(SYS_write, fd, SCENARIO_ANSWER, ANSWER_LENGTH));
}

/* The number is another connection's before anybody could know. */
static void closed_unseen(int fd)
{
    int client, server;

    scenario_take(fd);
    TRY(by_assembly(SYS_close, fd, NULL, 0));
    server = scenario_connect(&client);
    TRY(send(client, "GET /after HTTP/1.1\r\n\r\n", 23, 0));
    TRY(read(server, scenario_bytes, SCENARIO_BUFFER));
    scenario_answer(server);
    (void)close(server);
    (void)close(client);
}

/* Or it is closed a second time. */
static void closed_unseen_and_seen(int fd)
{
    scenario_take(fd);
    TRY(by_assembly(SYS_close, fd, NULL, 0));
}

/* Or a log file's. */
static void closed_unseen_for_a_file(int fd)
{
    int file = open("/dev/null", O_WRONLY | O_CLOEXEC);

    scenario_take(fd);
    TRY(by_assembly(SYS_close, fd, NULL, 0));
    TRY(by_assembly(SYS_dup2, file, (const void *)(size_t)fd, 0) == fd);
    TRY(write(fd, "a line\n", 7));
    (void)close(file);
}

/* Another program answers: the one that the reader of the request becomes. It goes by each of libc's ways. */

#define SHELL_ANSWERS "sh", "-c", "printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi'"

static char *const shell_answers[] = {SHELL_ANSWERS, NULL};

/* In a child that has read the request, and whose standard output is the connection: true. The parent waits for it. */
static bool is_child(int fd)
{
    int status;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        if (read(fd, scenario_bytes, SCENARIO_BUFFER) < 0 || dup2(fd, STDOUT_FILENO) < 0)
            _exit(1);
        return true;
    }
    TRY(waitpid(child, &status, 0) == child);
    TRY(status);
    return false;
}

static void by_execve(int fd)
{
    if (is_child(fd))
        _exit(execve("/bin/sh", shell_answers, environ));
}

static void by_execv(int fd)
{
    if (is_child(fd))
        _exit(execv("/bin/sh", shell_answers));
}

static void by_execvp(int fd)
{
    if (is_child(fd))
        _exit(execvp("sh", shell_answers));
}

static void by_execvpe(int fd)
{
    if (is_child(fd))
        _exit(execvpe("sh", shell_answers, environ));
}

static void by_fexecve(int fd)
{
    if (is_child(fd))
        _exit(fexecve(open("/bin/sh", O_RDONLY | O_CLOEXEC), shell_answers, environ));
}

static void by_execl(int fd)
{
    if (is_child(fd))
        _exit(execl("/bin/sh", SHELL_ANSWERS, "0", "1", "2", "3", "4", "5", "6", NULL));
}

static void by_execle(int fd)
{
    if (is_child(fd))
        _exit(execle("/bin/sh", SHELL_ANSWERS, "0", "1", "2", "3", "4", "5", "6", NULL, environ));
}

static void by_execlp(int fd)
{
    if (is_child(fd))
        _exit(execlp("sh", SHELL_ANSWERS, NULL));
}

static void by_quick_exit(int fd)
{
    if (!is_child(fd))
        return;
    (void)by_assembly(SYS_write, fd, SCENARIO_ANSWER, ANSWER_LENGTH);
    quick_exit(0);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"fdopen", by_stream, NULL},
        {"fdopen-late", by_late_stream, NULL},
        {"aio", by_aio, NULL},
        {"io-uring", by_uring, NULL},
        {"io-uring-body", body_by_uring, NULL},
        {"syscall", by_number, NULL},
        {"assembly", by_machine_code, NULL},
        {"assembly-close", closed_unseen, NULL},
        {"assembly-close-twice", closed_unseen_and_seen, NULL},
        {"assembly-close-file", closed_unseen_for_a_file, NULL},
        {"execve", by_execve, NULL},
        {"execv", by_execv, NULL},
        {"execvp", by_execvp, NULL},
        {"execvpe", by_execvpe, NULL},
        {"fexecve", by_fexecve, NULL},
        {"execl", by_execl, NULL},
        {"execle", by_execle, NULL},
        {"execlp", by_execlp, NULL},
        {"quick-exit", by_quick_exit, NULL},
    };

    return scenario_main(scenarios, sizeof scenarios / sizeof *scenarios, argc, argv);
}
