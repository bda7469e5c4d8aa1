/* SPDX-License-Identifier: Apache-2.0 */
/* Writes to its standard streams in one particular way each: ways NAME. Without a name it lists them. */
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include <wchar.h>

static void print_formatted(void)
{
    printf("%s %d\n", "printf", 1);
    fprintf(stderr, "%s %d\n", "fprintf", 2);
}

static void print_plain(void)
{
    puts("puts");
    fputs("fputs\n", stderr);
    putchar('c');
    putc('\n', stderr);
    fwrite("fwrite\n", 1, 7, stdout);
}

static void print_at_once(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("%s %d\n", "unbuffered", 1);
}

static void print_much(void)
{
    for (int i = 0; i < 2000; i++)
        printf("line %d of a buffer that is full many times\n", i);
}

static void print_without_end(void)
{
    printf("no end, no flush");
}

static void print_wide(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    wprintf(L"wide %ls\n", L"\u00e9\u4e16");
    fwprintf(stderr, L"wide %ls\n", L"\u00e9\u4e16");
}

static void print_errors(void)
{
    errno = ENOENT;
    perror("perror");
    warn("warn");
    warnx("warnx");
    error(0, EACCES, "error");
    psignal(SIGTERM, "psignal");
}

static void print_to_descriptor(void)
{
    dprintf(STDOUT_FILENO, "dprintf %d\n", 1);
    dprintf(STDERR_FILENO, "dprintf %d\n", 2);
}

static void print_to_copy(void)
{
    int copy = dup(STDERR_FILENO);
    FILE *stream = fdopen(copy, "w");

    fprintf(stream, "a stream of a copy\n");
    fclose(stream);
    copy = fcntl(STDOUT_FILENO, F_DUPFD, 20);
    (void)!write(copy, "a copy\n", 7);
    close(copy);
}

static void print_reopened(void)
{
    FILE *stream = freopen("/dev/stderr", "w", stdout);

    if (stream)
        puts("stdout, reopened");
}

/* It closes the descriptor. */
static void reopen_in_vain(void)
{
    printf("stdout\n");
    if (!freopen("/nonexistent/file", "w", stdout) && open("/dev/null", O_WRONLY) == STDOUT_FILENO)
        (void)!write(STDOUT_FILENO, "data\n", 5);
}

/* Where standard error can be read as well, as a terminal can, libc writes to a copy of it. */
static void print_error_to_copy(void)
{
    dup2(open("/dev/null", O_RDWR), STDERR_FILENO);
    errno = ENOENT;
    perror("perror");
    puts("after it");
}

static void open_first(void)
{
    (void)!write(open("/dev/null", O_WRONLY), "data\n", 5);
}

static void write_bytes(void)
{
    struct iovec parts[3] = {{"writev ", 7}, {"", 0}, {"in parts\n", 9}};

    (void)!write(STDOUT_FILENO, "write\n", 6);
    (void)!write(STDERR_FILENO, "\0\xff binary\n", 10);
    (void)!writev(STDERR_FILENO, parts, 3);
    (void)!write(STDOUT_FILENO, "", 0);
}

static void write_long(void)
{
    static char text[200 * 1024];

    memset(text, 'l', sizeof(text));
    text[sizeof(text) - 1] = '\n';
    for (size_t done = 0; done < sizeof(text);)
        done += (size_t)write(STDOUT_FILENO, text + done, sizeof(text) - done);
}

static void fail_assertion(void)
{
    printf("flushed by nobody\n");
    assert(!"an assertion");
}

static void leave_by_exit(void)
{
    printf("flushed by exit()\n");
    exit(3);
}

static void leave_at_once(void)
{
    printf("lost with the buffer\n");
    (void)!write(STDERR_FILENO, "before _exit\n", 13);
    _exit(4);
}

static void print_from_fork(void)
{
    fprintf(stderr, "before fork\n");
    pid_t child = fork();

    if (child == 0) {
        fprintf(stderr, "child\n");
        exit(0);
    }
    waitpid(child, NULL, 0);
    fprintf(stderr, "parent\n");
}

/* More than a ring has room for; all live at once. */
static void print_from_many_forks(void)
{
    enum { CHILDREN = 40 };
    int ready[2], go_on[2];
    char byte;

    fprintf(stderr, "before forks\n");
    if (pipe(ready) < 0 || pipe(go_on) < 0)
        return;
    for (int i = 0; i < CHILDREN; i++) {
        if (fork() != 0)
            continue;
        fprintf(stderr, "child %d\n", i);
        close(go_on[1]);
        (void)!write(ready[1], "", 1);
        (void)!read(go_on[0], &byte, 1);
        _exit(0);
    }
    for (int i = 0; i < CHILDREN; i++)
        (void)!read(ready[0], &byte, 1);
    close(go_on[1]);
    while (wait(NULL) > 0) {
    }
}

static void write_from_vfork(void)
{
    pid_t child = vfork();

    if (child == 0) {
        (void)!write(STDERR_FILENO, "vfork's child\n", 14);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    fprintf(stderr, "its parent\n");
}

static void print_from_exec(void)
{
    fprintf(stderr, "before exec\n");
    execl("/bin/sh", "sh", "-c", "echo from a shell; echo its error >&2; ls /nonexistent", NULL);
}

/* Only read(), write() and the end are allowed. */
static void enter_sandbox(void)
{
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    (void)!write(STDERR_FILENO, "in a sandbox\n", 13);
    syscall(SYS_exit, 5);
}

static void print_in_sandbox(void)
{
    fprintf(stderr, "before it\n");
    enter_sandbox();
}

static void open_in_place_of_stderr(void)
{
    close(STDERR_FILENO);
    if (open("/dev/null", O_WRONLY) == STDERR_FILENO)
        (void)!write(STDERR_FILENO, "data\n", 5);
}

static void print_to_full_device(void)
{
    int full = open("/dev/full", O_WRONLY);

    dup2(full, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IONBF, 0);
    int result = printf("nobody reads this\n");
    int error = errno;
    fprintf(stderr, "printf: %d, %s\n", result, strerror(error));
}

static void print_to_closed(void)
{
    close(STDOUT_FILENO);
    int result = puts("nobody reads this") == EOF || fflush(stdout) == EOF;
    int error = errno;
    fprintf(stderr, "puts: %d, %s\n", result, strerror(error));
}

/* A pipe that nobody empties takes some of it. */
static void write_to_full_pipe(void)
{
    static char text[200 * 1024];
    int ends[2];
    ssize_t first, second;

    memset(text, 'p', sizeof(text));
    if (pipe(ends) < 0)
        return;
    dup2(ends[1], STDOUT_FILENO);
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    first = write(STDOUT_FILENO, text, sizeof(text));
    second = write(STDOUT_FILENO, text, sizeof(text));
    fprintf(stderr, "took %zd, then %zd: %s\n", first, second, strerror(errno));
}

static void say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsyslog(LOG_DEBUG, format, arguments);
    va_end(arguments);
}

static void log_messages(void)
{
    syslog(LOG_ERR, "%s %d", "an error", 1);
    errno = ENOENT;
    syslog(LOG_WARNING | LOG_DAEMON, "a warning: %m");
    say("%s", "by vsyslog");
    syslog(LOG_INFO, "%3000s", "long");
    setlogmask(LOG_UPTO(LOG_ERR));
    syslog(LOG_INFO, "not sent");
}

/* _FORTIFY_SOURCE's rule: %n in memory that can be written ends the program. Nothing may have obeyed it before. */
static volatile int counted = -1;

static void print_count(int signal)
{
    char text[] = "0 bytes counted\n";

    (void)signal;
    if (counted >= 0)
        text[0] = '1';
    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    _exit(3);
}

void __syslog_chk(int priority, int flag, const char *format, ...);

static void log_forbidden(void)
{
    char format[] = "counted%n";

    signal(SIGABRT, print_count);
    __syslog_chk(LOG_ERR, 1, format, &counted);
}

static const struct way {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"formatted", print_formatted},
    {"plain", print_plain},
    {"unbuffered", print_at_once},
    {"much", print_much},
    {"without_end", print_without_end},
    {"wide", print_wide},
    {"errors", print_errors},
    {"descriptor", print_to_descriptor},
    {"copy", print_to_copy},
    {"reopened", print_reopened},
    {"reopened_in_vain", reopen_in_vain},
    {"error_to_copy", print_error_to_copy},
    {"opened_first", open_first},
    {"write", write_bytes},
    {"long", write_long},
    {"assertion", fail_assertion},
    {"exit", leave_by_exit},
    {"_exit", leave_at_once},
    {"fork", print_from_fork},
    {"many_forks", print_from_many_forks},
    {"vfork", write_from_vfork},
    {"exec", print_from_exec},
    {"sandbox", print_in_sandbox},
    {"sandbox_early", enter_sandbox},
    {"replaced", open_in_place_of_stderr},
    {"full_device", print_to_full_device},
    {"closed", print_to_closed},
    {"full_pipe", write_to_full_pipe},
    {"syslog", log_messages},
    {"syslog_forbidden", log_forbidden},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (argc < 2)
            puts(ways[i].name);
        else if (strcmp(argv[1], ways[i].name) == 0)
            ways[i].run();
    }
    return 0;
}
