/* SPDX-License-Identifier: Apache-2.0 */
/* A library may go. Its destructors run within the call, and call what is still there: so what is known of addresses is
 * forgotten afterwards, when others may take their place, but also before, in case this thread doesn't come back. */
#include "hooks/hook.h"

#include "preload/provider.h"

#include <dlfcn.h>

HOOK
int dlclose(void *handle)
{
    provider_forget();
    int result = REAL(dlclose)(handle);
    provider_forget();
    return result;
}
