/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for dl_iterate_phdr() of libc, which it finds in a constructor: whoever calls it before then calls nothing.
 * Prints how many objects it is shown. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

typedef int visitor(struct dl_phdr_info *info, size_t size, void *arg);

static int (*libcs_own)(visitor *visit, void *arg);

__attribute__((constructor)) static void find(void)
{
    *(void **)&libcs_own = dlsym(RTLD_NEXT, "dl_iterate_phdr");
}

int dl_iterate_phdr(visitor *visit, void *arg)
{
    return libcs_own(visit, arg);
}

static int count(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info;
    (void)size;
    ++*(int *)arg;
    return 0;
}

int main(void)
{
    int objects = 0;

    dl_iterate_phdr(count, &objects);
    puts(objects > 2 ? "some objects" : "no objects");
    return 3;
}
