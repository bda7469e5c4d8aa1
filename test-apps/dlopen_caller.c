/* SPDX-License-Identifier: Apache-2.0 */
/* Built with DLOPEN_CALLER_IS_PHP it looks like libphp: by the function that PHP's engine exports. */
#include "dlopen_caller.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

#ifdef DLOPEN_CALLER_IS_PHP
int php_module_startup(void);

int php_module_startup(void)
{
    return 0;
}
#endif

void *caller_open(const char *name, int flags)
{
    void *volatile handle = dlopen(name, flags); /* no tail call: this library is to be the caller */

    return handle;
}

void caller_path(const char *name, char *path, size_t size)
{
    void *handle = caller_open(name, RTLD_LAZY);
    struct link_map *map;

    path[0] = '\0';
    if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
        (void)snprintf(path, size, "%s", map->l_name);
    if (handle)
        (void)dlclose(handle);
}
