/* SPDX-License-Identifier: Apache-2.0 */
/* The lives that libcurl's handles and lists lead, one after the other, each by its name:
 *     lives URL NAME...
 * What it prints depends on nothing but the answers. The server's paths are those of tests/support/exact_server.py. */
#include <curl/curl.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[256];

static char *url_of(const char *path)
{
    static _Thread_local char url[512];

    snprintf(url, sizeof(url), "%s%s", base, path);
    return url;
}

static size_t count_bytes(char *bytes, size_t size, size_t count, void *total)
{
    (void)bytes;
    *(size_t *)total += size * count;
    return size * count;
}

struct fetch {
    CURL *easy;
    size_t total;
    char error[CURL_ERROR_SIZE];
};

static void fetch_init(struct fetch *fetch, const char *path)
{
    memset(fetch, 0, sizeof(*fetch));
    fetch->easy = curl_easy_init();
    curl_easy_setopt(fetch->easy, CURLOPT_URL, url_of(path));
    curl_easy_setopt(fetch->easy, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(fetch->easy, CURLOPT_WRITEDATA, &fetch->total);
    curl_easy_setopt(fetch->easy, CURLOPT_ERRORBUFFER, fetch->error);
    curl_easy_setopt(fetch->easy, CURLOPT_NOPROXY, "*");
}

static void tell(const char *what, struct fetch *fetch, CURLcode result)
{
    long status = 0, redirects = 0;
    curl_off_t size = 0;
    char *url = NULL, *ip = NULL;

    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(fetch->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    curl_easy_getinfo(fetch->easy, CURLINFO_SIZE_DOWNLOAD_T, &size);
    curl_easy_getinfo(fetch->easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(fetch->easy, CURLINFO_PRIMARY_IP, &ip);
    printf("%s: %d %s, %ld after %ld, %zu = %ld bytes of %s at %s\n", what, (int)result, result ? fetch->error : "",
           status, redirects, fetch->total, (long)size, url + strlen(base), ip);
    fetch->total = 0;
}

static void perform(const char *what, struct fetch *fetch)
{
    tell(what, fetch, curl_easy_perform(fetch->easy));
}

/* A list that lives just as long as it must, and another after it. */
static void lists(void)
{
    struct fetch fetch;
    struct curl_slist *list = curl_slist_append(curl_slist_append(NULL, "X-First: 1"), "X-Second: 2");

    fetch_init(&fetch, "/moved/size/100");
    curl_easy_setopt(fetch.easy, CURLOPT_FOLLOWLOCATION, 1L);
    perform("no list", &fetch);
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    perform("a list", &fetch);
    perform("the same", &fetch);
    list = curl_slist_append(list, "X-Third: 3");
    list = curl_slist_append(list, "Accept:");
    perform("longer", &fetch);
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    perform("none again", &fetch);
    list = curl_slist_append(NULL, "X-Last: 4");
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    perform("another", &fetch);
    curl_easy_cleanup(fetch.easy);
    curl_slist_free_all(list);
}

/* A transfer that is begun past everything that may stand before libcurl, after one that was not. */
static void past_hooks(void)
{
    CURLcode (*real_perform)(CURL *) =
        (CURLcode(*)(CURL *))dlsym(dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD), "curl_easy_perform");
    struct curl_slist *list = curl_slist_append(NULL, "X-First: 1");
    struct fetch fetch;

    fetch_init(&fetch, "/size/10");
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    perform("as ever", &fetch);
    tell("past hooks", &fetch, real_perform(fetch.easy));
    curl_easy_cleanup(fetch.easy);
    curl_slist_free_all(list);
}

/* The program's own trace header. */
static void own_header(void)
{
    struct fetch fetch;
    struct curl_slist *list = curl_slist_append(NULL, "X-First: 1");

    list = curl_slist_append(list, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    list = curl_slist_append(list, "X-Last: 2");
    fetch_init(&fetch, "/size/10");
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    perform("own header", &fetch);
    curl_easy_cleanup(fetch.easy);
    curl_slist_free_all(list);
}

struct swap {
    struct fetch fetch;
    struct curl_slist *next;
    CURL *copy;
};

/* In the middle of a transfer: another list for what follows, and a copy of the handle. */
static size_t swap_lists(char *bytes, size_t size, size_t count, void *data)
{
    struct swap *swap = data;

    if (swap->next) {
        curl_easy_setopt(swap->fetch.easy, CURLOPT_HTTPHEADER, swap->next);
        swap->next = NULL;
        swap->copy = curl_easy_duphandle(swap->fetch.easy);
    }
    return count_bytes(bytes, size, count, &swap->fetch.total);
}

static void copies(void)
{
    struct swap swap = {.next = curl_slist_append(NULL, "X-Later: 1")};
    struct curl_slist *list = curl_slist_append(NULL, "X-First: 1"), *later = swap.next;
    struct fetch copy = {0};

    fetch_init(&swap.fetch, "/size/1000");
    curl_easy_setopt(swap.fetch.easy, CURLOPT_HTTPHEADER, list);
    copy.easy = curl_easy_duphandle(swap.fetch.easy);
    curl_easy_setopt(copy.easy, CURLOPT_WRITEDATA, &copy.total);
    perform("copy", &copy);
    curl_easy_cleanup(copy.easy);
    curl_easy_setopt(swap.fetch.easy, CURLOPT_WRITEFUNCTION, swap_lists);
    curl_easy_setopt(swap.fetch.easy, CURLOPT_WRITEDATA, &swap);
    perform("swapped", &swap.fetch);
    curl_slist_free_all(list);
    perform("after it", &swap.fetch);
    curl_easy_cleanup(swap.fetch.easy);
    copy = (struct fetch){.easy = swap.copy};
    curl_easy_setopt(copy.easy, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(copy.easy, CURLOPT_WRITEDATA, &copy.total);
    perform("copied within", &copy);
    curl_easy_cleanup(copy.easy);
    curl_slist_free_all(later);
}

static void resets(void)
{
    struct fetch fetch;
    struct curl_slist *list = curl_slist_append(NULL, "X-First: 1");

    fetch_init(&fetch, "/size/1000");
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    perform("before", &fetch);
    curl_easy_reset(fetch.easy);
    curl_slist_free_all(list);
    curl_easy_setopt(fetch.easy, CURLOPT_URL, url_of("/size/2000"));
    curl_easy_setopt(fetch.easy, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(fetch.easy, CURLOPT_WRITEDATA, &fetch.total);
    perform("after", &fetch);
    curl_easy_cleanup(fetch.easy);
}

static int refuse_second(void *count, char *peer, char *local, int peer_port, int local_port)
{
    printf("prereq: %s from %s, %d, %d\n", peer, local, peer_port > 0, local_port > 0);
    return ++*(int *)count > 1;
}

/* The program's own callback before each request, which ends the transfer at the second. */
static void callbacks(void)
{
    struct fetch fetch;
    int count = 0;

    fetch_init(&fetch, "/moved/size/100");
    curl_easy_setopt(fetch.easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(fetch.easy, CURLOPT_PREREQFUNCTION, refuse_second);
    curl_easy_setopt(fetch.easy, CURLOPT_PREREQDATA, &count);
    perform("refused", &fetch);
    curl_easy_setopt(fetch.easy, CURLOPT_PREREQFUNCTION, NULL);
    perform("not refused", &fetch);
    curl_easy_cleanup(fetch.easy);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whatever has ended, in an order of its own. */
static void tell_ended(CURLM *multi)
{
    char *lines[16];
    int count = 0, left;
    CURLMsg *message;

    while ((message = curl_multi_info_read(multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        struct fetch *fetch;
        long status;
        char *url;

        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&fetch);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
        if (asprintf(&lines[count++], "%s: %d, %ld, %zu bytes", url + strlen(base), (int)result, status, fetch->total) <
            0)
            abort();
        curl_multi_remove_handle(multi, easy);
    }
    qsort(lines, (size_t)count, sizeof(lines[0]), by_name);
    for (int i = 0; i < count; i++) {
        puts(lines[i]);
        free(lines[i]);
    }
}

enum { MANY = 8 };

static void many_init(CURLM *multi, struct fetch *fetches)
{
    for (int i = 0; i < MANY; i++) {
        char path[64];

        snprintf(path, sizeof(path), i == 3 ? "/moved/size/%d" : "/size/%d", 1000 + i);
        fetch_init(&fetches[i], path);
        curl_easy_setopt(fetches[i].easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(fetches[i].easy, CURLOPT_PRIVATE, &fetches[i]);
        curl_multi_add_handle(multi, fetches[i].easy);
    }
}

static void multi_perform(void)
{
    CURLM *multi = curl_multi_init();
    struct fetch fetches[MANY];
    int running;

    many_init(multi, fetches);
    do {
        curl_multi_perform(multi, &running);
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    } while (running);
    tell_ended(multi);
    for (int i = 0; i < MANY; i++)
        curl_easy_cleanup(fetches[i].easy);
    curl_multi_cleanup(multi);
}

static int watch(CURL *easy, curl_socket_t fd, int what, void *epoll, void *known)
{
    struct epoll_event event = {.data.fd = fd};

    (void)easy;
    (void)known;
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (what == CURL_POLL_REMOVE)
        epoll_ctl(*(int *)epoll, EPOLL_CTL_DEL, fd, &event);
    else if (epoll_ctl(*(int *)epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        epoll_ctl(*(int *)epoll, EPOLL_CTL_MOD, fd, &event);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *timeout)
{
    (void)multi;
    *(long *)timeout = timeout_ms;
    return 0;
}

static void multi_socket(void)
{
    CURLM *multi = curl_multi_init();
    struct fetch fetches[MANY];
    int epoll = epoll_create1(0), running;
    long timeout = -1;

    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, &epoll);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, &timeout);
    many_init(multi, fetches);
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    while (running) {
        struct epoll_event event;
        int n = epoll_wait(epoll, &event, 1, timeout < 0 || timeout > 1000 ? 1000 : (int)timeout);

        if (n > 0)
            curl_multi_socket_action(multi, event.data.fd,
                                     (event.events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                                         (event.events & EPOLLOUT ? CURL_CSELECT_OUT : 0),
                                     &running);
        else
            curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    tell_ended(multi);
    for (int i = 0; i < MANY; i++)
        curl_easy_cleanup(fetches[i].easy);
    curl_multi_cleanup(multi);
    close(epoll);
}

/* Taken back in the middle: by removal, by cleaning up the handle, by cleaning up the multi handle first. */
static void taken_back(void)
{
    CURLM *multi = curl_multi_init();
    struct fetch fetches[3];
    int running;

    for (int i = 0; i < 3; i++) {
        fetch_init(&fetches[i], "/hang");
        curl_multi_add_handle(multi, fetches[i].easy);
    }
    for (int i = 0; i < 10; i++) {
        curl_multi_perform(multi, &running);
        curl_multi_poll(multi, NULL, 0, 20, NULL);
    }
    printf("running %d\n", running);
    curl_multi_remove_handle(multi, fetches[0].easy);
    curl_easy_setopt(fetches[0].easy, CURLOPT_URL, url_of("/size/5"));
    perform("removed", &fetches[0]);
    curl_easy_cleanup(fetches[0].easy);
    curl_multi_remove_handle(multi, fetches[1].easy);
    curl_easy_cleanup(fetches[1].easy);
    curl_multi_cleanup(multi);
    curl_easy_cleanup(fetches[2].easy);
}

static CURLSH *shared;
static pthread_mutex_t locks[CURL_LOCK_DATA_LAST];

static void lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *unused)
{
    (void)easy;
    (void)access;
    (void)unused;
    pthread_mutex_lock(&locks[data]);
}

static void unlock(CURL *easy, curl_lock_data data, void *unused)
{
    (void)easy;
    (void)unused;
    pthread_mutex_unlock(&locks[data]);
}

static void *fetch_often(void *failures)
{
    struct curl_slist *list = curl_slist_append(NULL, "X-Thread: 1");

    for (int i = 0; i < 10; i++) {
        struct fetch fetch;

        fetch_init(&fetch, "/size/777");
        curl_easy_setopt(fetch.easy, CURLOPT_SHARE, shared);
        curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
        if (curl_easy_perform(fetch.easy) != CURLE_OK || fetch.total != 777)
            __atomic_fetch_add((int *)failures, 1, __ATOMIC_RELAXED);
        curl_easy_cleanup(fetch.easy);
    }
    curl_slist_free_all(list);
    return NULL;
}

/* Threads that share what can be shared. */
static void threads(void)
{
    pthread_t others[4];
    struct fetch fetch;
    int failures = 0;

    fetch_init(&fetch, "/size/1"); /* all else is ready then */
    perform("before threads", &fetch);
    curl_easy_cleanup(fetch.easy);

    shared = curl_share_init();
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&locks[i], NULL);
    curl_share_setopt(shared, CURLSHOPT_LOCKFUNC, lock);
    curl_share_setopt(shared, CURLSHOPT_UNLOCKFUNC, unlock);
    curl_share_setopt(shared, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    for (int i = 0; i < 4; i++)
        pthread_create(&others[i], NULL, fetch_often, &failures);
    for (int i = 0; i < 4; i++)
        pthread_join(others[i], NULL);
    curl_share_cleanup(shared);
    printf("threads: %d failures\n", failures);
}

/* A cache of connections that two handles share. */
static void shares(void)
{
    CURLSH *share = curl_share_init();
    struct fetch first, second;

    curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
    fetch_init(&first, "/size/10");
    fetch_init(&second, "/size/20");
    curl_easy_setopt(first.easy, CURLOPT_SHARE, share);
    curl_easy_setopt(second.easy, CURLOPT_SHARE, share);
    perform("first", &first);
    perform("second", &second);
    curl_easy_cleanup(first.easy);
    perform("second alone", &second);
    curl_easy_cleanup(second.easy);
    curl_share_cleanup(share);
}

/* On to another host, to which libcurl takes the program's headers, but for those that name the user. */
static void elsewhere(void)
{
    struct curl_slist *list = curl_slist_append(curl_slist_append(NULL, "X-First: 1"), "Authorization: Basic Og==");
    struct fetch fetch;

    fetch_init(&fetch, "/elsewhere/size/10");
    curl_easy_setopt(fetch.easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    printf("elsewhere: %d, %zu bytes\n", (int)curl_easy_perform(fetch.easy), fetch.total);
    curl_easy_cleanup(fetch.easy);
    curl_slist_free_all(list);
}

static void run_multi(CURLM *multi, bool (*is_enough)(const struct fetch *fetch), const struct fetch *fetch)
{
    int running;

    do {
        curl_multi_perform(multi, &running);
        if (running && !is_enough(fetch))
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    } while (running && !is_enough(fetch));
}

static bool has_begun(const struct fetch *fetch)
{
    return fetch->total > 0;
}

static bool never(const struct fetch *fetch)
{
    (void)fetch;
    return false;
}

/* A child is made while an answer comes in. It gives up its copy of the transfer, and makes a request of its own. */
static void forks(void)
{
    struct curl_slist *list = curl_slist_append(NULL, "X-First: 1");
    CURLM *multi = curl_multi_init();
    struct fetch fetch, own;
    pid_t child;

    fetch_init(&fetch, "/slow/300");
    curl_easy_setopt(fetch.easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(fetch.easy, CURLOPT_PRIVATE, &fetch);
    curl_multi_add_handle(multi, fetch.easy);
    run_multi(multi, has_begun, &fetch);
    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        curl_multi_remove_handle(multi, fetch.easy);
        curl_easy_cleanup(fetch.easy);
        curl_multi_cleanup(multi);
        curl_slist_free_all(list);
        fetch_init(&own, "/size/7");
        perform("child", &own);
        curl_easy_cleanup(own.easy);
        exit(0);
    }
    waitpid(child, NULL, 0);
    run_multi(multi, never, &fetch);
    tell_ended(multi);
    curl_easy_cleanup(fetch.easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(list);
}

/* No HTTP, and what the program says itself. */
static void others(void)
{
    struct fetch fetch;
    char answer[16] = "";
    size_t n = 0;

    fetch_init(&fetch, "");
    curl_easy_setopt(fetch.easy, CURLOPT_URL, "file:///proc/self/cmdline");
    printf("file: %d, some: %d\n", (int)curl_easy_perform(fetch.easy), fetch.total > 0);
    curl_easy_setopt(fetch.easy, CURLOPT_URL, url_of(""));
    curl_easy_setopt(fetch.easy, CURLOPT_CONNECT_ONLY, 1L);
    printf("connect: %d\n", (int)curl_easy_perform(fetch.easy));
    curl_easy_send(fetch.easy, "GET /size/3 HTTP/1.0\r\nHost: it\r\n\r\n", 34, &n);
    while (curl_easy_recv(fetch.easy, answer, 12, &n) == CURLE_AGAIN)
        usleep(1000);
    printf("answer: %s\n", answer);
    curl_easy_cleanup(fetch.easy);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } lives[] = {
        {"lists", lists},
        {"own_header", own_header},
        {"past_hooks", past_hooks},
        {"copies", copies},
        {"resets", resets},
        {"callbacks", callbacks},
        {"threads", threads},
        {"multi_perform", multi_perform},
        {"multi_socket", multi_socket},
        {"taken_back", taken_back},
        {"shares", shares},
        {"elsewhere", elsewhere},
        {"forks", forks},
        {"others", others},
    };

    snprintf(base, sizeof(base), "%s", argv[1]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (int i = 2; i < argc; i++)
        for (size_t life = 0; life < sizeof(lives) / sizeof(lives[0]); life++)
            if (strcmp(lives[life].name, argv[i]) == 0)
                lives[life].run();
    curl_global_cleanup();
    return 0;
}
