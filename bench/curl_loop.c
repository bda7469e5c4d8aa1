/* SPDX-License-Identifier: Apache-2.0 */
/* Makes COUNT requests for a URL, one after the other, by one handle: curl_loop URL COUNT [HEADER]. */
#include <curl/curl.h>

#include <stdlib.h>

static size_t take(char *bytes, size_t size, size_t count, void *unused)
{
    (void)bytes;
    (void)unused;
    return size * count;
}

int main(int argc, char **argv)
{
    CURL *easy = curl_easy_init();

    struct curl_slist *headers = argc > 3 ? curl_slist_append(NULL, argv[3]) : NULL;

    if (argc < 3)
        return 2;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    for (int count = atoi(argv[2]); count > 0; count--) {
        curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
        if (curl_easy_perform(easy) != CURLE_OK)
            return 1;
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    return 0;
}
