/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/deepbind.h"

#include "preload/provider.h"

#include <dlfcn.h>
#include <stdbool.h>

/* Written at start, then read-only. */
static enum deepbind_mode mode = DEEPBIND_KEEP;

/* Extensions take PHP's functions from the object that loads them: the program (php, php-fpm) or a library (libphp in
 * Apache). So it exports them, whatever it is named. */
static bool is_php(const void *code)
{
    return provider_is_caller("php_module_startup", code);
}

void deepbind_init(enum deepbind_mode wanted)
{
    mode = wanted;
}

int deepbind_flags(int flags, const void *caller)
{
    if (mode == DEEPBIND_DROP || (mode == DEEPBIND_AUTO && is_php(caller)))
        return flags & ~RTLD_DEEPBIND;
    return flags;
}
