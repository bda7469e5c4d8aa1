/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/journals.h"

#include "exporters/agent/journal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kept {
    struct kept *next;
    uint8_t key[JOURNALS_KEY_SIZE];
    struct journal *journal;
    bool claimed;
};

static struct kept *list; /* loop only */
static struct journals_host host;

void journals_init(const struct journals_host *with)
{
    host = *with;
}

void journals_deinit(void)
{
    while (list) {
        struct kept *kept = list;

        list = kept->next;
        journal_close(kept->journal);
        free(kept);
    }
}

static int add(const uint8_t key[JOURNALS_KEY_SIZE], int memfd, struct kept **ret_kept)
{
    struct kept *kept = calloc(1, sizeof(*kept));
    int error;

    if (!kept)
        return -ENOMEM;
    error = journal_open(memfd, &kept->journal);
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

int journals_restore(const uint8_t key[JOURNALS_KEY_SIZE], int memfd)
{
    struct kept *kept;

    return add(key, memfd, &kept);
}

static struct kept *find(const uint8_t key[JOURNALS_KEY_SIZE])
{
    struct kept *kept = list;

    while (kept && memcmp(kept->key, key, sizeof(kept->key)) != 0)
        kept = kept->next;
    return kept;
}

static int make(const uint8_t key[JOURNALS_KEY_SIZE], size_t capacity, struct kept **ret_kept)
{
    int memfd;
    int error = journal_create(capacity, &memfd);

    if (error)
        return error;
    error = host.keep(host.arg, key, memfd);
    if (!error)
        error = add(key, memfd, ret_kept);
    close(memfd);
    return error;
}

int journals_obtain(const uint8_t key[JOURNALS_KEY_SIZE], size_t capacity, struct journal **ret_journal)
{
    struct kept *kept = find(key);

    if (!kept) {
        int error = make(key, capacity, &kept);

        if (error)
            return error;
    }
    kept->claimed = true;
    *ret_journal = kept->journal;
    return 0;
}

void journals_drop(struct journal *journal)
{
    for (struct kept **link = &list; *link; link = &(*link)->next) {
        struct kept *kept = *link;

        if (kept->journal != journal)
            continue;
        *link = kept->next;
        host.dropped(host.arg, kept->key, journal);
        journal_close(journal);
        free(kept);
        return;
    }
}

void journals_drop_unclaimed(void)
{
    struct kept *next;

    for (struct kept *kept = list; kept; kept = next) {
        next = kept->next;
        if (!kept->claimed)
            journals_drop(kept->journal);
    }
}

bool journals_trim(void)
{
    bool all = true;

    for (const struct kept *kept = list; kept; kept = kept->next) {
        if (journal_done(kept->journal) == journal_end(kept->journal))
            journal_trim(kept->journal);
        else
            all = false;
    }
    return all;
}
