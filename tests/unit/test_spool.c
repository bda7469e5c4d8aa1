/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool.h"

#include "exporters/agent/loop.h"
#include "exporters/agent/spool_path.h"
#include "exporters/encode/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY_MS = 86400000, ROOM = 1 << 20 };

static char folder[64];
static struct loop *loop;
static struct spool *spool;
static unsigned more_count;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/spanshim-test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    more_count = 0;
    spool_set_folder(folder);
    assert_int_equal(loop_new(&loop), 0);
    spool = spool_new(loop);
    return spool != NULL ? 0 : -1;
}

static void remove_files(void)
{
    DIR *stream = opendir(folder);
    struct dirent *entry;

    assert_non_null(stream);
    while ((entry = readdir(stream)) != NULL)
        (void)unlinkat(dirfd(stream), entry->d_name, 0);
    (void)closedir(stream);
}

static int tear_down(void **state)
{
    (void)state;
    spool_free(spool);
    loop_free(loop);
    remove_files();
    return rmdir(folder);
}

static void on_more(void *arg)
{
    (void)arg;
    more_count++;
    loop_stop(loop);
}

static struct spool_queue_options options_for(const char *target, uint16_t mark)
{
    return (struct spool_queue_options){
        .identity = {getuid(), "otlp", target, "http", mark}, .bytes_max = ROOM, .age_ms = DAY_MS, .on_more = on_more};
}

static struct spool_queue *open_with(const struct spool_queue_options *options)
{
    struct spool_queue *queue;

    assert_int_equal(spool_queue_open(spool, options, &queue), 0);
    return queue;
}

static struct spool_queue *open_queue(void)
{
    struct spool_queue_options options = options_for("there", 1);

    return open_with(&options);
}

static int put_kind(struct spool_queue *queue, enum spool_kind kind, const char *text, size_t length, int64_t *ret_id)
{
    struct buffer payload = {0};

    assert_int_equal(buffer_append(&payload, text, strlen(text)), 0);
    while (payload.length < length)
        assert_int_equal(buffer_append(&payload, " ", 1), 0);
    int r = spool_put(queue, kind, 1, &payload, ret_id);
    buffer_deinit(&payload);
    return r;
}

static int64_t put(struct spool_queue *queue, const char *text)
{
    int64_t id;

    assert_int_equal(put_kind(queue, SPOOL_SPANS, text, 0, &id), 0);
    return id;
}

/* The first word of the oldest payload; "": there is none. */
static const char *next(struct spool_queue *queue)
{
    static char word[32];
    struct buffer payload = {0};
    struct spool_payload found;
    int r = spool_next(queue, &payload, &found);

    assert_true(r >= 0);
    word[0] = '\0';
    if (r > 0) {
        (void)snprintf(word, sizeof(word), "%.*s", (int)payload.length, (const char *)payload.bytes);
        word[strcspn(word, " ")] = '\0';
    }
    buffer_deinit(&payload);
    return word;
}

/* As another worker after the end of this one. */
static void start_anew(void)
{
    spool_free(spool);
    spool = spool_new(loop);
    assert_non_null(spool);
}

static bool exists(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void test_spool_makes_nothing_before_it_is_needed(void **state)
{
    (void)state;
    struct spool_queue *queue = open_queue();
    assert_true(spool_is_usable(spool));
    assert_string_equal(next(queue), "");
    assert_false(exists("spool.db"));
    spool_queue_close(queue);
}

static void test_spool_gives_the_oldest_first_until_it_is_done(void **state)
{
    (void)state;
    struct spool_queue *queue = open_queue();
    int64_t first = put(queue, "one");
    int64_t last = put(queue, "two");
    assert_int_equal(spool_newest(queue), last);
    assert_string_equal(next(queue), "one");
    assert_string_equal(next(queue), "one");
    assert_false(spool_is_past(queue, first));
    spool_done(queue);
    assert_true(spool_is_past(queue, first));
    assert_string_equal(next(queue), "two");
    assert_int_equal(spool_depth(queue)->payload_count, 1);
    spool_done(queue);
    assert_string_equal(next(queue), "");
    assert_int_equal(spool_depth(queue)->byte_count, 0);
    assert_int_equal(spool_oldest_unix_ms(queue), 0);
    spool_queue_close(queue);
}

static void test_spool_is_private(void **state)
{
    static const char *const names[] = {"spool.db", "spool.db-wal", "spool.db-shm", "spool.lock"};
    mode_t before = umask(0);
    struct stat status;

    (void)state;
    struct spool_queue *queue = open_queue();
    (void)put(queue, "one");
    (void)umask(before);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    spool_queue_close(queue);
}

static void test_spool_outlives_its_worker(void **state)
{
    (void)state;
    struct spool_queue *queue = open_queue();
    (void)put(queue, "one");
    (void)put(queue, "two");
    assert_string_equal(next(queue), "one");
    spool_queue_close(queue);
    start_anew();
    queue = open_queue();
    assert_int_equal(spool_depth(queue)->payload_count, 2);
    assert_int_equal(loop_run(loop), 0); /* until the owner was told */
    assert_int_equal(more_count, 1);
    assert_string_equal(next(queue), "one");
    spool_queue_close(queue);
}

static void test_spool_keeps_destinations_apart(void **state)
{
    struct spool_queue_options there = options_for("there", 1), elsewhere = options_for("elsewhere", 1);
    struct spool_queue_options other_token = options_for("there", 2);

    (void)state;
    struct spool_queue *queues[] = {open_with(&there), open_with(&elsewhere), open_with(&other_token)};
    (void)put(queues[0], "there");
    (void)put(queues[1], "elsewhere");
    (void)put(queues[2], "token");
    assert_string_equal(next(queues[0]), "there");
    assert_string_equal(next(queues[1]), "elsewhere");
    assert_string_equal(next(queues[2]), "token");
    for (size_t i = 0; i < 3; i++)
        spool_queue_close(queues[i]);
    start_anew();
    queues[2] = open_with(&other_token);
    assert_string_equal(next(queues[2]), "token"); /* the other waits for a program with its token */
    assert_int_equal(spool_depth(queues[2])->payload_count, 1);
    spool_queue_close(queues[2]);
}

/* Two sets that differ in something else, as how long a batch may wait. */
static void test_spool_keeps_queues_of_one_destination_apart(void **state)
{
    (void)state;
    struct spool_queue *queues[] = {open_queue(), open_queue()};
    (void)put(queues[0], "a");
    (void)put(queues[1], "b");
    assert_string_equal(next(queues[0]), "a");
    assert_string_equal(next(queues[1]), "b");
    spool_done(queues[1]);
    assert_string_equal(next(queues[1]), "");
    spool_queue_close(queues[0]);
    spool_queue_close(queues[1]);
    queues[0] = open_queue();
    assert_string_equal(next(queues[0]), "a");
    spool_queue_close(queues[0]);
}

static json_int_t waiting_for(uid_t viewer)
{
    json_t *status = spool_status(spool, viewer);
    json_t *waiting = json_object_get(status, "waiting");
    json_int_t count = 0;
    size_t i;
    json_t *entry;

    json_array_foreach(waiting, i, entry) count += json_integer_value(json_object_get(entry, "queued"));
    json_decref(status);
    return count;
}

static json_int_t waiting_count(void)
{
    return waiting_for(getuid());
}

static void test_spool_shows_what_waits_for_its_settings(void **state)
{
    (void)state;
    struct spool_queue *queue = open_queue();
    (void)put(queue, "one");
    assert_int_equal(waiting_count(), 0);
    spool_queue_close(queue);
    assert_int_equal(waiting_count(), 1);
    assert_int_equal(waiting_for(getuid() + 12345), 0); /* it is nobody else's business */
    start_anew();
    assert_int_equal(waiting_count(), 1);
    queue = open_queue();
    assert_int_equal(waiting_count(), 0);
    spool_queue_close(queue);
}

/* Another agent: a process, for locks are between processes. It puts one payload and lives until it is killed. */
static pid_t start_other(void)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct loop *own_loop;
        struct spool_queue *queue;
        struct spool_queue_options options = options_for("there", 1);
        int64_t id;

        if (loop_new(&own_loop) || spool_queue_open(spool_new(own_loop), &options, &queue) ||
            put_kind(queue, SPOOL_SPANS, "other's", 0, &id) || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void test_spool_leaves_a_living_agent_its_payloads(void **state)
{
    (void)state;
    pid_t other = start_other();
    struct spool_queue *queue = open_queue();
    assert_string_equal(next(queue), "");
    (void)put(queue, "mine");
    assert_string_equal(next(queue), "mine");
    assert_int_equal(waiting_count(), 0); /* somebody sends it */
    (void)kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(waiting_count(), 1);
    spool_queue_close(queue);
    queue = open_queue();
    assert_string_equal(next(queue), "other's");
    spool_queue_close(queue);
}

static void test_spool_drops_the_oldest_spans_and_keeps_reports(void **state)
{
    struct spool_queue_options options = options_for("there", 1);
    int64_t id;

    (void)state;
    options.bytes_max = 1000;
    struct spool_queue *queue = open_with(&options);
    assert_int_equal(put_kind(queue, SPOOL_REPORT, "report", 300, &id), 0);
    assert_int_equal(put_kind(queue, SPOOL_SPANS, "a", 300, &id), 0);
    assert_int_equal(put_kind(queue, SPOOL_SPANS, "b", 300, &id), 0);
    assert_int_equal(put_kind(queue, SPOOL_SPANS, "c", 300, &id), 0);
    assert_int_equal(spool_depth(queue)->full_count, 1);
    assert_string_equal(next(queue), "report");
    spool_done(queue);
    assert_string_equal(next(queue), "b");
    assert_int_equal(put_kind(queue, SPOOL_SPANS, "large", 2000, &id), 0); /* spares what is under way */
    assert_int_equal(spool_depth(queue)->full_count, 2);
    spool_done(queue);
    assert_string_equal(next(queue), "large");
    assert_true(spool_drop_oldest(queue) == false); /* it is under way */
    spool_queue_close(queue);
}

static void test_spool_drops_what_is_too_old(void **state)
{
    struct spool_queue_options options = options_for("there", 1);

    (void)state;
    options.age_ms = 0;
    struct spool_queue *queue = open_with(&options);
    (void)put(queue, "one");
    (void)put(queue, "two");
    assert_string_equal(next(queue), "");
    assert_int_equal(spool_depth(queue)->expired_count, 2);
    assert_int_equal(spool_depth(queue)->payload_count, 0);
    (void)put(queue, "three");
    spool_queue_close(queue);
    assert_int_equal(waiting_count(), 0); /* nor is what nobody sends kept longer */
    json_t *status = spool_status(spool, getuid());
    assert_int_equal(json_integer_value(json_object_get(status, "dropped")), 1);
    json_decref(status);
}

static void test_spool_begins_anew_with_a_damaged_file(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/spool.db", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "no data base", 12), 12);
    (void)close(fd);
    struct spool_queue *queue = open_queue();
    (void)put(queue, "one");
    assert_string_equal(next(queue), "one");
    assert_true(exists("spool.db.damaged"));
    spool_queue_close(queue);
}

static void test_spool_finds_damaged_pages(void **state)
{
    char path[128], text[8];
    struct buffer payload = {0};
    struct spool_payload found;

    (void)state;
    struct spool_queue *queue = open_queue();
    /* So few pages start no checkpoint in a thread: it would have the file open when it is closed here, and its log
     * beside it would stay, with what is damaged below. */
    for (int i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        int64_t id;
        assert_int_equal(put_kind(queue, SPOOL_SPANS, text, 7000, &id), 0);
    }
    spool_queue_close(queue);
    spool_free(spool); /* all is in the file now, and in no cache */
    assert_false(exists("spool.db-wal"));
    (void)snprintf(path, sizeof(path), "%s/spool.db", folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (off_t page = 3; page < 20; page++)
        assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, page * 16384), 8);
    (void)close(fd);
    spool = spool_new(loop);
    queue = open_queue();
    int r = spool_next(queue, &payload, &found);
    assert_true(r <= 0);
    (void)put(queue, "new");
    assert_string_equal(next(queue), "new");
    buffer_deinit(&payload);
    spool_queue_close(queue);
}

static void test_spool_leaves_a_newer_version_alone(void **state)
{
    char path[128];
    sqlite3 *db;
    int64_t id;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/spool.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    struct spool_queue *queue = open_queue();
    assert_true(put_kind(queue, SPOOL_SPANS, "one", 0, &id) < 0);
    assert_false(spool_is_usable(spool));
    assert_false(exists("spool.db.damaged"));
    spool_queue_close(queue);
}

static void test_spool_waits_shortly_for_another_agent(void **state)
{
    char path[128];
    sqlite3 *db;
    int64_t id;

    (void)state;
    struct spool_queue *queue = open_queue();
    (void)put(queue, "one");
    (void)snprintf(path, sizeof(path), "%s/spool.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(put_kind(queue, SPOOL_SPANS, "two", 0, &id), -EAGAIN);
    assert_false(spool_is_usable(spool));                                       /* for a second, without a word */
    assert_int_equal(put_kind(queue, SPOOL_REPORT, "report", 0, &id), -EAGAIN); /* tried nevertheless */
    assert_string_equal(next(queue), "one");
    spool_done(queue); /* can't be deleted now: passed over */
    assert_string_equal(next(queue), "");
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(put_kind(queue, SPOOL_REPORT, "three", 0, &id), 0);
    assert_string_equal(next(queue), "three");
    spool_done(queue);
    spool_queue_close(queue);
    assert_int_equal(waiting_count(), 0); /* the first was deleted after all */
}

/* Whoever can choose settings could fill the disk with their names. */
static void test_spool_forgets_destinations_without_payloads(void **state)
{
    struct spool_queue_options options = options_for("elsewhere", 1);
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *statement;

    (void)state;
    struct spool_queue *queue = open_queue();
    struct spool_queue *other = open_with(&options);
    (void)put(queue, "one");
    (void)next(queue);
    spool_done(queue);
    (void)put(other, "two");
    (void)waiting_count(); /* one of the times when it is looked for */
    (void)snprintf(path, sizeof(path), "%s/spool.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM destination", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 1);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    (void)put(queue, "three"); /* and is known again */
    assert_string_equal(next(queue), "three");
    assert_string_equal(next(other), "two");
    spool_queue_close(queue);
    spool_queue_close(other);
    assert_int_equal(waiting_count(), 2);
}

static void test_spool_without_a_folder_is_not_usable(void **state)
{
    int64_t id;

    (void)state;
    spool_set_folder(NULL);
    struct spool_queue *queue = open_queue();
    assert_false(spool_is_usable(spool));
    assert_true(put_kind(queue, SPOOL_SPANS, "one", 0, &id) < 0);
    spool_queue_close(queue);
}

static void test_spool_refuses_a_folder_of_others(void **state)
{
    int64_t id;

    (void)state;
    assert_int_equal(chmod(folder, 0777), 0);
    struct spool_queue *queue = open_queue();
    assert_true(put_kind(queue, SPOOL_SPANS, "one", 0, &id) < 0);
    assert_false(spool_is_usable(spool));
    assert_false(exists("spool.db"));
    spool_queue_close(queue);
}

static void test_spool_path_is_as_set_or_usual(void **state)
{
    char path[64];

    (void)state;
    assert_int_equal(spool_path_choose("/x/y", path, sizeof(path)), 0);
    assert_string_equal(path, "/x/y");
    assert_int_equal(spool_path_choose("none", path, sizeof(path)), -ENOENT);
    assert_int_equal(spool_path_choose("x/y", path, sizeof(path)), -EINVAL);
    assert_int_equal(spool_path_choose("/x/y", path, 4), -ENAMETOOLONG);
    assert_int_equal(setenv("XDG_STATE_HOME", "/state", 1), 0);
    assert_int_equal(spool_path_choose(NULL, path, sizeof(path)), 0);
    assert_string_equal(path, "/state/spanshim");
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    assert_int_equal(spool_path_choose("", path, sizeof(path)), 0);
    assert_string_equal(path, geteuid() == 0 ? "/var/lib/spanshim" : "/home/me/.local/state/spanshim");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_spool_makes_nothing_before_it_is_needed),
        TEST(test_spool_gives_the_oldest_first_until_it_is_done),
        TEST(test_spool_is_private),
        TEST(test_spool_outlives_its_worker),
        TEST(test_spool_keeps_destinations_apart),
        TEST(test_spool_keeps_queues_of_one_destination_apart),
        TEST(test_spool_shows_what_waits_for_its_settings),
        TEST(test_spool_leaves_a_living_agent_its_payloads),
        TEST(test_spool_drops_the_oldest_spans_and_keeps_reports),
        TEST(test_spool_drops_what_is_too_old),
        TEST(test_spool_begins_anew_with_a_damaged_file),
        TEST(test_spool_finds_damaged_pages),
        TEST(test_spool_leaves_a_newer_version_alone),
        TEST(test_spool_waits_shortly_for_another_agent),
        TEST(test_spool_forgets_destinations_without_payloads),
        TEST(test_spool_without_a_folder_is_not_usable),
        TEST(test_spool_refuses_a_folder_of_others),
        cmocka_unit_test(test_spool_path_is_as_set_or_usual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
