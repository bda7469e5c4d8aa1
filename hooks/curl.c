/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's transfers. Its functions call each other by name, so such calls pass these hooks, too: they are
 * forwarded only. */
#include "hooks/hook.h"

#include "preload/provider.h"
#include "preload/transfer.h"

#include <stdarg.h>

#define CALLER __builtin_return_address(0)

/* A call that makes libcurl work, and the original in it, as the symbol's own type. */
#define ENTER(call, symbol)   transfer_enter(&(call), HOOK_##symbol, CALLER)
#define REAL_IN(call, symbol) ((__typeof__(&(symbol)))(call).real)

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

    if (ENTER(call, curl_easy_cleanup))
        transfer_gone(handle);
    REAL_IN(call, curl_easy_cleanup)(handle);
    transfer_leave(&call);
}

HOOK
CURLcode curl_easy_setopt(CURL *handle, CURLoption option, ...)
{
    va_list arguments;

    va_start(arguments, option);
    void *value = va_arg(arguments, void *); /* whatever its type is: it takes as much room */
    va_end(arguments);
    if (transfer_notes(option) && transfer_option(handle, option, value))
        return CURLE_OK;
    return REAL_FOR(curl_easy_setopt, CALLER)(handle, option, value);
}

HOOK
CURLcode curl_easy_perform(CURL *handle)
{
    struct transfer_call call;
    bool begins = false;

    if (ENTER(call, curl_easy_perform))
        call.is_followed = begins = transfer_begin(handle, NULL, CALLER);
    CURLcode result = REAL_IN(call, curl_easy_perform)(handle);
    if (begins)
        transfer_end(handle, result);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_add_handle(CURLM *multi, CURL *handle)
{
    struct transfer_call call;
    bool begins = ENTER(call, curl_multi_add_handle) && transfer_begin(handle, multi, CALLER);
    CURLMcode result = REAL_IN(call, curl_multi_add_handle)(multi, handle);

    if (begins && result != CURLM_OK)
        transfer_cancel(handle);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *handle)
{
    struct transfer_call call;
    bool ends = ENTER(call, curl_multi_remove_handle);
    CURLMcode result = REAL_IN(call, curl_multi_remove_handle)(multi, handle);

    if (ends && result == CURLM_OK)
        transfer_cancel(handle);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_perform(CURLM *multi, int *running)
{
    struct transfer_call call;

    (void)ENTER(call, curl_multi_perform);
    CURLMcode result = REAL_IN(call, curl_multi_perform)(multi, running);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events, int *running)
{
    struct transfer_call call;

    (void)ENTER(call, curl_multi_socket_action);
    CURLMcode result = REAL_IN(call, curl_multi_socket_action)(multi, fd, events, running);
    transfer_leave(&call);
    return result;
}

/* Its older forms. */

HOOK
CURLMcode curl_multi_socket(CURLM *multi, curl_socket_t fd, int *running)
{
    struct transfer_call call;

    (void)ENTER(call, curl_multi_socket);
    CURLMcode result = REAL_IN(call, curl_multi_socket)(multi, fd, running);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMcode curl_multi_socket_all(CURLM *multi, int *running)
{
    struct transfer_call call;

    (void)ENTER(call, curl_multi_socket_all);
    CURLMcode result = REAL_IN(call, curl_multi_socket_all)(multi, running);
    transfer_leave(&call);
    return result;
}

HOOK
CURLMsg *curl_multi_info_read(CURLM *multi, int *left)
{
    struct transfer_call call;
    bool is_programs = ENTER(call, curl_multi_info_read);
    CURLMsg *message = REAL_IN(call, curl_multi_info_read)(multi, left);

    if (is_programs && message && message->msg == CURLMSG_DONE)
        transfer_end(message->easy_handle, message->data.result);
    transfer_leave(&call);
    return message;
}

HOOK
CURLMcode curl_multi_cleanup(CURLM *multi)
{
    struct transfer_call call;

    if (ENTER(call, curl_multi_cleanup))
        transfer_multi_gone(multi);
    CURLMcode result = REAL_IN(call, curl_multi_cleanup)(multi);
    transfer_leave(&call);
    return result;
}
