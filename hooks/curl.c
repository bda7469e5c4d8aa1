// SPDX-License-Identifier: Apache-2.0
/* libcurl's transfers. Its functions call each other by name, and so come by here; such calls only go on. */
#include "hooks/hook.h"

#include "preload/provider.h"
#include "preload/transfer.h"

#include <stdarg.h>

#define CALLER __builtin_return_address(0)

HOOK
CURL *curl_easy_init(void)
{
    CURL *handle = REAL_FOR(curl_easy_init, CALLER)();

    if (handle)
        transfer_born(handle);
    return handle;
}

HOOK
CURL *curl_easy_duphandle(CURL *handle)
{
    CURL *copy = REAL_FOR(curl_easy_duphandle, CALLER)(handle);

    if (copy)
        transfer_copied(handle, copy, CALLER);
    return copy;
}

HOOK
void curl_easy_reset(CURL *handle)
{
    REAL_FOR(curl_easy_reset, CALLER)(handle);
    transfer_reset(handle);
}

HOOK
void curl_easy_cleanup(CURL *handle)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER)) {
        REAL_FOR(curl_easy_cleanup, CALLER)(handle);
        return;
    }
    transfer_gone(handle, CALLER);
    REAL_FOR(curl_easy_cleanup, CALLER)(handle);
    transfer_leave(&call);
}

HOOK
CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
    va_list arguments;

    va_start(arguments, option);
    void *value = va_arg(arguments, void *); /* whatever its type is: it takes as much room */
    va_end(arguments);
    if (transfer_option(handle, option, value))
        return CURLE_OK;
    return REAL_FOR(curl_easy_setopt, CALLER)(handle, option, value);
}

HOOK
CURLcode curl_easy_perform(CURL *handle)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_easy_perform, CALLER)(handle);
    call.is_followed = transfer_begin(handle, NULL, CALLER);
    CURLcode result = REAL_FOR(curl_easy_perform, CALLER)(handle);
    if (call.is_followed)
        transfer_end(handle, result, CALLER);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_add_handle(CURLM *multi, CURL *handle)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_add_handle, CALLER)(multi, handle);
    bool begins = transfer_begin(handle, multi, CALLER);
    CURLMcode result = REAL_FOR(curl_multi_add_handle, CALLER)(multi, handle);
    if (begins && result != CURLM_OK)
        transfer_cancel(handle, CALLER);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *handle)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_remove_handle, CALLER)(multi, handle);
    CURLMcode result = REAL_FOR(curl_multi_remove_handle, CALLER)(multi, handle);
    if (result == CURLM_OK)
        transfer_cancel(handle, CALLER);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_perform(CURLM *multi, int *running)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_perform, CALLER)(multi, running);
    CURLMcode result = REAL_FOR(curl_multi_perform, CALLER)(multi, running);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events, int *running)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_socket_action, CALLER)(multi, fd, events, running);
    CURLMcode result = REAL_FOR(curl_multi_socket_action, CALLER)(multi, fd, events, running);
    transfer_leave(&call);
    return result;
}

/* Its older forms. */

HOOK
CURLMcode curl_multi_socket(CURLM *multi, curl_socket_t fd, int *running)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_socket, CALLER)(multi, fd, running);
    CURLMcode result = REAL_FOR(curl_multi_socket, CALLER)(multi, fd, running);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_socket_all(CURLM *multi, int *running)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_socket_all, CALLER)(multi, running);
    CURLMcode result = REAL_FOR(curl_multi_socket_all, CALLER)(multi, running);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMsg *curl_multi_info_read(CURLM *multi, int *left)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_info_read, CALLER)(multi, left);
    CURLMsg *message = REAL_FOR(curl_multi_info_read, CALLER)(multi, left);
    if (message && message->msg == CURLMSG_DONE)
        transfer_end(message->easy_handle, message->data.result, CALLER);
    transfer_leave(&call);
    return message;
}

HOOK
CURLMcode curl_multi_cleanup(CURLM *multi)
{
    struct transfer_call call;

    if (!transfer_enter(&call, CALLER))
        return REAL_FOR(curl_multi_cleanup, CALLER)(multi);
    transfer_multi_gone(multi, CALLER);
    CURLMcode result = REAL_FOR(curl_multi_cleanup, CALLER)(multi);
    transfer_leave(&call);
    return result;
}
