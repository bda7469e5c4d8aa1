/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzzer's entry over every file of the folders named on the command line; fails when there is none. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static size_t replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    uint8_t *data = NULL;
    size_t size = 0, capacity = 0, n;
    do {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            data = realloc(data, capacity);
            if (!data)
                abort();
        }
        n = fread(data + size, 1, capacity - size, file);
        size += n;
    } while (n > 0);
    (void)fclose(file);

    /* A copy of just this size: reading past its end is then seen by the sanitizers. */
    uint8_t *exact = realloc(data, size ? size : 1);
    if (!exact)
        abort();
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

static size_t replay_folder(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < sizeof(file))
            count += replay_file(file);
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        count += replay_folder(argv[i]);
    printf("%zu inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
