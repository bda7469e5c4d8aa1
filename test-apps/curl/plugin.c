/* SPDX-License-Identifier: Apache-2.0 */
/* A library that is linked to one of the system's two libcurls, and says which. */
#include <curl/curl.h>

#include <stdio.h>
#include <string.h>

static size_t take(char *bytes, size_t size, size_t count, void *unused)
{
    (void)bytes;
    (void)unused;
    return size * count;
}

void plugin_fetch(const char *url);

void plugin_fetch(const char *url)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, "X-Plugin: 1");
    const char *tls = curl_version_info(CURLVERSION_NOW)->ssl_version;
    long status = 0;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    printf("%.*s: %d %ld\n", (int)strcspn(tls, "/"), tls, (int)result, status);
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
}
