/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/supervise.h"

#include "exporters/cli/deadline.h"
#include "exporters/cli/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A signal may be sent to the launcher and then to the group by two calls, as timeout(1) does: wait for the second. */
enum { SETTLE_MS = 20 };

struct supervision {
    pid_t program;
    bool as_init;
    bool ended;
    int wait_status;
    int signals; /* signalfd */
    struct witness witness;
    sigset_t started_mask;          /* what the launcher was started with */
    struct sigaction started_child; /* and its SIGCHLD */
    uint64_t settle_at[_NSIG];      /* when to decide about a signal; 0: none came */
};

/* All that can be blocked and isn't a fault of the launcher itself. */
static void fill_forwarded(sigset_t *set)
{
    static const int own[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGPIPE};

    sigfillset(set);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(set, own[i]);
}

static int begin(struct supervision *self)
{
    struct sigaction child_default = {.sa_handler =
                                          SIG_DFL}; /* ignored, as some parents leave it, nothing is waited for */
    sigset_t forwarded;

    fill_forwarded(&forwarded);
    (void)sigprocmask(SIG_BLOCK, &forwarded, &self->started_mask);
    (void)sigaction(SIGCHLD, &child_default, &self->started_child);
    self->signals = signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->signals < 0)
        return -errno;
    if (self->as_init && getpid() != 1)
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return 0;
}

/* Undo what begin() changed: after a failed start, and in the child. */
static void restore_signals(const struct supervision *self)
{
    (void)sigaction(SIGCHLD, &self->started_child, NULL);
    (void)sigprocmask(SIG_SETMASK, &self->started_mask, NULL);
}

/* The program. It must not outlive a launcher that is killed: whoever does that means the program. */
static void become_program(const struct supervision *self, pid_t launcher, int failure, supervise_exec *exec, void *arg)
{
    if (launcher != 1) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != launcher)
            _exit(1);
    }
    restore_signals(self);
    exec(arg);

    int err = errno;
    if (write(failure, &err, sizeof(err)) != sizeof(err))
        _exit(1);
    _exit(0);
}

/* Returns once the program's image runs: a failed exec is known here and not taken for an exit status. */
static int start_program(struct supervision *self, supervise_exec *exec, void *arg)
{
    int failure[2];
    int err = 0;
    pid_t launcher = getpid();

    if (pipe2(failure, O_CLOEXEC) != 0)
        return -errno;
    self->program = fork();
    if (self->program < 0) {
        err = -errno;
        (void)close(failure[0]);
        (void)close(failure[1]);
        return err;
    }
    if (self->program == 0) {
        (void)close(failure[0]);
        become_program(self, launcher, failure[1], exec, arg);
    }
    (void)close(failure[1]);
    int cause = 0;
    if (read(failure[0], &cause, sizeof(cause)) == sizeof(cause)) {
        (void)waitpid(self->program, NULL, 0);
        err = -cause;
    }
    (void)close(failure[0]);
    return err;
}

static void settle(struct supervision *self, int signo)
{
    self->settle_at[signo] = 0;
    if (!witness_saw(&self->witness, signo) && !self->ended)
        (void)kill(self->program, signo);
}

static void settle_due(struct supervision *self, bool all)
{
    uint64_t now = deadline_now_ns();

    for (int signo = 1; signo <= SIGRTMAX; signo++)
        if (self->settle_at[signo] && (all || self->settle_at[signo] <= now))
            settle(self, signo);
}

/* How long poll() may wait. */
static int next_settlement_ms(const struct supervision *self)
{
    uint64_t next = UINT64_MAX;

    for (int signo = 1; signo <= SIGRTMAX; signo++)
        if (self->settle_at[signo] && self->settle_at[signo] < next)
            next = self->settle_at[signo];
    return next == UINT64_MAX ? -1 : deadline_remaining_ms(next);
}

/* The program has stopped: so do we, by the same signal, for the shell to see a stopped job. What came before is
 * decided now: being continued clears a witness's memory of stop signals. */
static void copy_stop(struct supervision *self, int signo)
{
    struct sigaction stop = {.sa_handler = SIG_DFL};
    sigset_t one;

    settle_due(self, true);
    if (signo != SIGSTOP)
        (void)sigaction(signo, &stop, NULL);
    sigemptyset(&one);
    sigaddset(&one, signo);
    (void)raise(signo);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL); /* here it stops, and goes on when continued */
    (void)sigprocmask(SIG_BLOCK, &one, NULL);
}

static void reap(struct supervision *self)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(self->as_init ? -1 : self->program, &status, WNOHANG | (self->as_init ? 0 : WUNTRACED))) >
           0) {
        if (pid == self->witness.pid)
            self->witness.pid = 0;
        if (pid != self->program)
            continue;
        if (WIFSTOPPED(status)) {
            copy_stop(self, WSTOPSIG(status));
            continue;
        }
        self->wait_status = status;
        self->ended = true;
    }
}

static void take_signal(struct supervision *self, const struct signalfd_siginfo *info)
{
    int signo = (int)info->ssi_signo;

    if (signo == SIGCHLD) {
        reap(self);
    } else if (signo >= SIGRTMIN) { /* queued one by one, with a value: nothing to settle */
        (void)sigqueue(self->program, signo, (union sigval){.sival_ptr = (void *)(uintptr_t)info->ssi_ptr});
    } else if (self->settle_at[signo] == 0) {
        self->settle_at[signo] = deadline_in_ms(SETTLE_MS);
    }
}

static void serve(struct supervision *self)
{
    reap(self);
    while (!self->ended) {
        struct pollfd poller = {.fd = self->signals, .events = POLLIN};
        struct signalfd_siginfo info;

        (void)poll(&poller, 1, next_settlement_ms(self));
        while (!self->ended && read(self->signals, &info, sizeof(info)) == sizeof(info))
            take_signal(self, &info);
        settle_due(self, false);
    }
}

/* The descriptor of the signals that end a wait for delivery; kept open: the process ends soon. */
static int interrupt_fd = -1;

int supervise_interrupt_fd(void)
{
    return interrupt_fd;
}

static void open_interrupt(void)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGQUIT);
    interrupt_fd = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

int supervise_run(supervise_exec *exec, void *arg, bool as_init, int *ret_wait_status)
{
    struct supervision self = {.as_init = as_init, .signals = -1, .witness = {.channel = -1}};
    int err = begin(&self);

    if (err)
        goto out;
    (void)witness_start(&self.witness);
    err = start_program(&self, exec, arg);
    if (err)
        goto out;
    serve(&self);
    *ret_wait_status = self.wait_status;
out:
    witness_stop(&self.witness);
    if (self.signals >= 0)
        (void)close(self.signals);
    if (err)
        restore_signals(&self);
    else
        open_interrupt();
    return err;
}

void supervise_mirror(int wait_status)
{
    if (WIFEXITED(wait_status))
        exit(WEXITSTATUS(wait_status));

    int signo = WTERMSIG(wait_status);
    struct sigaction fatal = {.sa_handler = SIG_DFL};
    sigset_t one;

    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    (void)prctl(PR_SET_DUMPABLE, 0); /* a core handler behind a pipe doesn't ask for the limit */
    (void)sigaction(signo, &fatal, NULL);
    sigemptyset(&one);
    sigaddset(&one, signo);
    (void)raise(signo);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    exit(128 + signo);
}
