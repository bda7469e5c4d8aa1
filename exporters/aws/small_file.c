/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_whole(int fd, char **ret_text)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (status.st_size > SMALL_FILE_MAX)
        return -EFBIG;
    char *text = calloc(1, (size_t)status.st_size + 1);
    if (text == NULL)
        return -ENOMEM;
    if (read(fd, text, (size_t)status.st_size) < 0) {
        int r = -errno;
        free(text);
        return r;
    }
    *ret_text = text;
    return 0;
}

int small_file_read(const char *path, char **ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return -errno;
    int r = read_whole(fd, ret_text);
    (void)close(fd);
    return r;
}

void small_file_free(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}
