/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/users.h"

#include "exporters/agent/clock.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Those who are refused leave room for all who may be served. */
enum { ENTRIES = 256, REFUSED_ENTRIES = 128, SERVED_MAX = 64, NAME_SIZE = 64 };
enum { LOG_BURST = 200, LOG_INTERVAL_S = 60 };
static const uint64_t message_ns = NS_PER_S / USERS_PER_SECOND;

/* Written at start, then read-only. */
static struct {
    bool all;
    uid_t uids[SERVED_MAX];
    size_t uid_count;
} served;

static struct user first_only;             /* where there is no shared memory */
static struct user *entries = &first_only; /* shared; filled in order, the last one by all that come later */
static size_t entry_count = 1;

int users_init(void)
{
    void *map = mmap(NULL, ENTRIES * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    entries = map;
    entry_count = ENTRIES;
    return 0;
}

static bool find_uid(const char *name, uid_t *ret_uid)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    const struct passwd *user;

    if (*name >= '0' && *name <= '9' && *end == '\0' && number < UINT32_MAX) {
        *ret_uid = (uid_t)number;
        return true;
    }
    user = getpwnam(name);
    if (user)
        *ret_uid = user->pw_uid;
    return user != NULL;
}

static int serve_one(const char *name, char error[USERS_ERROR_MAX])
{
    if (strcmp(name, "all") == 0) {
        served.all = true;
        return 0;
    }
    if (served.uid_count == SERVED_MAX) {
        (void)snprintf(error, USERS_ERROR_MAX, "--serve-uid: more than %d users; use: --serve-uid all", SERVED_MAX);
        return -EINVAL;
    }
    if (!find_uid(name, &served.uids[served.uid_count])) {
        (void)snprintf(error, USERS_ERROR_MAX, "--serve-uid: there is no user %s", name);
        return -EINVAL;
    }
    served.uid_count++;
    return 0;
}

int users_serve(const char *list, char error[USERS_ERROR_MAX])
{
    int result = 0;

    while (!result && *list) {
        char name[NAME_SIZE];
        size_t length = strcspn(list, ",");

        (void)snprintf(name, sizeof(name), "%.*s", (int)length, list);
        if (length)
            result = serve_one(name, error);
        list += length + (list[length] == ',');
    }
    return result;
}

bool users_are_many(void)
{
    return served.all || served.uid_count;
}

/* An access list as the kernel takes it. The mode's own bits stand in it too: what the group may is the mask. */
static int set_access_list(const char *path)
{
    struct {
        struct posix_acl_xattr_header header;
        struct posix_acl_xattr_entry items[SERVED_MAX + 4];
    } list = {.header.a_version = POSIX_ACL_XATTR_VERSION};
    size_t count = 0;

    list.items[count++] = (struct posix_acl_xattr_entry){ACL_USER_OBJ, ACL_READ | ACL_WRITE, ACL_UNDEFINED_ID};
    for (size_t i = 0; i < served.uid_count; i++)
        list.items[count++] = (struct posix_acl_xattr_entry){ACL_USER, ACL_READ | ACL_WRITE, served.uids[i]};
    list.items[count++] = (struct posix_acl_xattr_entry){ACL_GROUP_OBJ, 0, ACL_UNDEFINED_ID};
    list.items[count++] = (struct posix_acl_xattr_entry){ACL_MASK, ACL_READ | ACL_WRITE, ACL_UNDEFINED_ID};
    list.items[count++] = (struct posix_acl_xattr_entry){ACL_OTHER, 0, ACL_UNDEFINED_ID};
    return setxattr(path, "system.posix_acl_access", &list, sizeof(list.header) + count * sizeof(list.items[0]), 0)
               ? -errno
               : 0;
}

int users_admit_to(const char *path)
{
    if (served.all || !served.uid_count)
        return chmod(path, served.all ? 0666 : 0600) ? -errno : 0;
    return set_access_list(path);
}

bool users_is_trusted(uid_t uid)
{
    return uid == geteuid() || uid == 0;
}

bool users_may_see(uid_t viewer, uid_t whose)
{
    return viewer == whose || users_is_trusted(viewer);
}

static bool is_served(uid_t uid)
{
    if (served.all || users_is_trusted(uid))
        return true;
    for (size_t i = 0; i < served.uid_count; i++)
        if (served.uids[i] == uid)
            return true;
    return false;
}

/* Its entry; a new one among the first `limit`, or the last. */
static struct user *find(uid_t uid, size_t limit)
{
    size_t last = entry_count - 1;
    size_t n = 0;

    while (n < last && entries[n].is_used && entries[n].uid != uid)
        n++;
    if (!entries[n].is_used && n >= limit)
        n = last;
    if (!entries[n].is_used) {
        entries[n].uid = uid;
        entries[n].log_limit = (struct log_limit){.burst = LOG_BURST, .interval_s = LOG_INTERVAL_S};
        entries[n].is_used = 1;
    }
    return &entries[n];
}

struct user *users_find(uid_t uid)
{
    return find(uid, ENTRIES);
}

const struct user *users_at(size_t n)
{
    return n < entry_count && entries[n].is_used ? &entries[n] : NULL;
}

bool users_may_connect(uid_t uid)
{
    if (is_served(uid))
        return true;
    find(uid, REFUSED_ENTRIES)->refused_count++;
    return false;
}

/* Each message costs a bit of time; who owes more than the whole burst has to wait. */
static bool may_send_now(struct user *user, uint64_t now_ns)
{
    uint64_t from_ns = user->credit_at_ns > now_ns ? user->credit_at_ns : now_ns;

    if (from_ns + message_ns - now_ns > USERS_BURST * message_ns)
        return false;
    user->credit_at_ns = from_ns + message_ns;
    return true;
}

bool users_may_send(uid_t uid, size_t ring_count, uint64_t now_ns)
{
    struct user *user;

    if (users_is_trusted(uid))
        return true;
    user = users_find(uid);
    if (ring_count < USERS_RINGS_MAX && may_send_now(user, now_ns))
        return true;
    user->limited_count++;
    return false;
}

bool users_may_log(uid_t uid, uint64_t now_ns)
{
    return log_limit_pass(&users_find(uid)->log_limit, now_ns) != 0;
}

bool users_may_take_time(uid_t uid, uint64_t now_ns)
{
    return users_is_trusted(uid) ||
           users_find(uid)->time_at_ns < now_ns + USERS_TIME_BURST_MS * NS_PER_MS * USERS_TIME_PART;
}

void users_took_time(uid_t uid, uint64_t now_ns, uint64_t spent_ns)
{
    struct user *user = users_is_trusted(uid) ? NULL : users_find(uid);

    if (user)
        user->time_at_ns = (user->time_at_ns > now_ns ? user->time_at_ns : now_ns) + spent_ns * USERS_TIME_PART;
}
