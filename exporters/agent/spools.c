/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spools.h"

#include "exporters/agent/spool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kept {
    struct kept *next;
    uint8_t key[SPOOLS_KEY_SIZE];
    struct spool *spool;
    bool claimed;
};

static struct kept *list; /* loop only */
static struct spools_host host;

void spools_init(const struct spools_host *with)
{
    host = *with;
}

void spools_deinit(void)
{
    while (list) {
        struct kept *kept = list;

        list = kept->next;
        spool_close(kept->spool);
        free(kept);
    }
}

static int add(const uint8_t key[SPOOLS_KEY_SIZE], int memfd, struct kept **ret_kept)
{
    struct kept *kept = calloc(1, sizeof(*kept));
    int error;

    if (!kept)
        return -ENOMEM;
    error = spool_open(memfd, &kept->spool);
    if (error) {
        free(kept);
        return error;
    }
    memcpy(kept->key, key, sizeof(kept->key));
    kept->next = list;
    list = kept;
    *ret_kept = kept;
    return 0;
}

int spools_restore(const uint8_t key[SPOOLS_KEY_SIZE], int memfd)
{
    struct kept *kept;

    return add(key, memfd, &kept);
}

static struct kept *find(const uint8_t key[SPOOLS_KEY_SIZE])
{
    struct kept *kept = list;

    while (kept && memcmp(kept->key, key, sizeof(kept->key)) != 0)
        kept = kept->next;
    return kept;
}

static int make(const uint8_t key[SPOOLS_KEY_SIZE], size_t capacity, struct kept **ret_kept)
{
    int memfd;
    int error = spool_create(capacity, &memfd);

    if (error)
        return error;
    error = host.keep(host.arg, key, memfd);
    if (!error)
        error = add(key, memfd, ret_kept);
    close(memfd);
    return error;
}

int spools_obtain(const uint8_t key[SPOOLS_KEY_SIZE], size_t capacity, struct spool **ret_spool)
{
    struct kept *kept = find(key);

    if (!kept) {
        int error = make(key, capacity, &kept);

        if (error)
            return error;
    }
    kept->claimed = true;
    *ret_spool = kept->spool;
    return 0;
}

void spools_drop(struct spool *spool)
{
    for (struct kept **link = &list; *link; link = &(*link)->next) {
        struct kept *kept = *link;

        if (kept->spool != spool)
            continue;
        *link = kept->next;
        host.dropped(host.arg, kept->key, spool);
        spool_close(spool);
        free(kept);
        return;
    }
}

void spools_drop_unclaimed(void)
{
    struct kept *next;

    for (struct kept *kept = list; kept; kept = next) {
        next = kept->next;
        if (!kept->claimed)
            spools_drop(kept->spool);
    }
}

bool spools_trim(void)
{
    bool all = true;

    for (const struct kept *kept = list; kept; kept = kept->next) {
        if (spool_done(kept->spool) == spool_end(kept->spool))
            spool_trim(kept->spool);
        else
            all = false;
    }
    return all;
}
