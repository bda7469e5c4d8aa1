/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's interface as its header has it, without the macros that it puts over its functions, and with the numbers
 * that older headers don't have yet. We link nothing of it. */
#ifndef SPANSHIM_LIBCURL_H
#define SPANSHIM_LIBCURL_H

#define CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_DEPRECATION
#include <curl/curl.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#undef curl_share_setopt
#undef curl_multi_socket

/* Of 7.80: called before each request of a transfer is sent; anything but 0 ends it. */
typedef int libcurl_prereq(void *data, char *peer_ip, char *local_ip, int peer_port, int local_port);

enum {
    LIBCURL_OPT_PREREQFUNCTION = CURLOPTTYPE_FUNCTIONPOINT + 312,
    LIBCURL_OPT_PREREQDATA = CURLOPTTYPE_OBJECTPOINT + 313,
    LIBCURL_INFO_EFFECTIVE_METHOD = CURLINFO_STRING + 58, /* 7.72 */
};

#endif
