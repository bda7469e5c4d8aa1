/* SPDX-License-Identifier: Apache-2.0 */
/* Loads libraries that use libcurl where nobody else sees them, and unloads them again: plugins URL LIBRARY... Before
 * and after, it looks for libcurl in its own scope, as programs do that can do without. */
#include <dlfcn.h>
#include <stdio.h>

static void probe(void)
{
    void *(*init)(void) = (void *(*)(void))dlsym(RTLD_DEFAULT, "curl_easy_init");

    printf("a handle without libcurl: %s\n", init && init() ? "yes" : "no");
}

int main(int argc, char **argv)
{
    void *libraries[8];
    int count = argc - 2;

    probe();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < count; i++) {
            libraries[i] = dlopen(argv[i + 2], RTLD_NOW | RTLD_LOCAL);
            if (!libraries[i]) {
                puts(dlerror());
                return 1;
            }
        }
        for (int i = 0; i < count; i++)
            ((void (*)(const char *))dlsym(libraries[i], "plugin_fetch"))(argv[1]);
        for (int i = 0; i < count; i++)
            dlclose(libraries[(i + round) % count]);
    }
    probe();
    return 0;
}
