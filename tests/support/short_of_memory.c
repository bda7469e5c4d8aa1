/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the agent: while the folder FAILING_RECEIVE has a file with its process's name, that one can't receive
 * from sockets without a name, as the two halves have between them; the file says by which errno. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failure(int socket)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);
    const char *folder = getenv("FAILING_RECEIVE");
    char process[16] = "", path[4096], number[8] = "";
    int file;

    if (!folder || getsockname(socket, (struct sockaddr *)&name, &length) || length > sizeof(name.ss_family))
        return 0;
    (void)prctl(PR_GET_NAME, process);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, process);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    (void)!read(file, number, sizeof(number) - 1);
    (void)close(file);
    return (int)strtol(number, NULL, 10);
}

__attribute__((visibility("default"))) ssize_t recvmsg(int socket, struct msghdr *message, int flags)
{
    int error = failure(socket);

    if (error) {
        errno = error;
        return -1;
    }
    return syscall(SYS_recvmsg, socket, message, flags);
}
