/* SPDX-License-Identifier: Apache-2.0 */
/* Serves while a timer interrupts it 20,000 times a second; the handler writes and sends on sockets of its own, and
 * every thousandth jumps out of what was interrupted. At the end ("/done" closes the connection) it says whether all
 * arrived. */
#include "http_peer.h"
#include "listener.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int sink[2];                      /* written by the handler, read by nobody but the handler */
static volatile sig_atomic_t interrupts; /* handler only */
static volatile sig_atomic_t failures;   /* handler only */

static void on_timer(int number)
{
    int saved = errno;
    char back[2];

    (void)number;
    interrupts++;
    if (write(sink[0], "a", 1) != 1 || send(sink[0], "b", 1, MSG_NOSIGNAL) != 1 || read(sink[1], back, 2) != 2 ||
        back[0] != 'a' || back[1] != 'b')
        failures++;
    errno = saved;
}

static sigjmp_buf back_in_wait;

static void on_alarm(int number)
{
    (void)number;
    siglongjmp(back_in_wait, 1);
}

/* Leave a blocked read by a jump: nothing may believe that it is still in there. */
static void jump_out_of_read(void)
{
    int ends[2];
    char byte;
    struct itimerval soon = {.it_value = {.tv_usec = 2000}};

    (void)socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    (void)signal(SIGALRM, on_alarm);
    if (sigsetjmp(back_in_wait, 1) == 0) {
        (void)setitimer(ITIMER_REAL, &soon, NULL);
        for (;;)
            (void)!read(ends[0], &byte, 1);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void start_storm(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec often = {{0, 50000}, {0, 50000}};
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    timer_t timer;

    (void)sigaction(SIGUSR1, &action, NULL);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        (void)timer_settime(timer, 0, &often, NULL);
}

int main(void)
{
    int listener = listener_tcp(0, 0);

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sink) != 0)
        return 1;
    listener_announce(listener);
    for (int i = 0; i < 20; i++)
        jump_out_of_read();
    start_storm();
    http_peer_serve(listener_accept(listener, SOCK_CLOEXEC), HTTP_CALLS_PLAIN);
    (void)printf("interrupted: %s, failures: %d\n", interrupts > 0 ? "yes" : "no", (int)failures);
    return 0;
}
