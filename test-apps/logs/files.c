// SPDX-License-Identifier: Apache-2.0
/* A service that writes logs to files: files LOG OTHER. Two lines to the log by stdio and one by write(), the log is
 * then rotated, and one more line goes to the new one; the other file gets data on the same descriptors. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void append(const char *path, const char *text)
{
    FILE *stream = fopen(path, "a");

    if (!stream)
        return;
    fprintf(stream, "%s 1\n%s 2\n", text, text);
    fclose(stream);
    int fd = open(path, O_WRONLY | O_APPEND);
    dprintf(fd, "%s 3\n", text);
    (void)!write(fd, "end\n", 4);
    close(fd);
}

int main(int argc, char **argv)
{
    char rotated[4096];

    if (argc < 3)
        return 2;
    append(argv[1], "log");
    append(argv[2], "data");
    snprintf(rotated, sizeof(rotated), "%s.1", argv[1]);
    rename(argv[1], rotated);
    append(argv[1], "new log");
    return 0;
}
