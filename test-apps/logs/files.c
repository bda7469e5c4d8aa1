/* SPDX-License-Identifier: Apache-2.0 */
/* A service that writes logs to files: files LOG OTHER. Two lines to the log by stdio and one by write(), the log is
 * then rotated, and one more line goes to the new one; the other file gets data on the same descriptors. At last the
 * descriptors of both come and go in other ways. */
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

/* One after the other under the same number. */
static void take_turns(const char *log, const char *other)
{
    char line[8];
    FILE *stream = fopen(log, "rm"); /* mapped, where it can be */

    if (!stream || !fgets(line, sizeof(line), stream))
        return;
    fclose(stream);
    stream = fopen(other, "a");
    fprintf(stream, "data 4\n");
    fflush(stream);
    stream = freopen(log, "a", stream);
    fprintf(stream, "reopened\n");
    fflush(stream);
    stream = freopen(other, "a", stream);
    fprintf(stream, "data 5\n");
    fclose(stream);

    int fd = open(log, O_RDWR | O_APPEND);
    (void)!read(fd, line, sizeof(line));
    (void)!write(fd, "after a read\n", 13);
    close(fd);
    stream = fdopen(open(log, O_WRONLY | O_APPEND), "a");
    fprintf(stream, "by fdopen\n");
    fclose(stream);
    stream = fopen(other, "a");
    fprintf(stream, "data 6\n");
    fclose(stream);
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
    take_turns(argv[1], argv[2]);
    return 0;
}
