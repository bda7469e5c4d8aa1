/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_place.h"

#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings *settings;
static struct resource *resource;
static json_t *place;

static int tear_down(void **state)
{
    (void)state;
    json_decref(place);
    resource_free(resource);
    settings_unref(settings);
    place = NULL;
    resource = NULL;
    settings = NULL;
    return 0;
}

/* The place of a process that has these resource attributes and nothing that is found out. */
static void look(const char *plugins, const char *attributes, pid_t number, bool is_trusted)
{
    char words[128], pairs[512];

    (void)tear_down(NULL);
    (void)snprintf(words, sizeof(words), "SPANSHIM_XRAY_PLUGINS=%s", plugins);
    (void)snprintf(pairs, sizeof(pairs), "OTEL_RESOURCE_ATTRIBUTES=%s", attributes);
    settings = settings_new((const char *const[]){words, pairs, "SPANSHIM_RESOURCE_DETECTORS=none"}, 3, NULL);
    resource = resource_new(&(struct resource_facts){.executable = "/x"}, settings);
    place = xray_place_new(settings, resource, number, is_trusted);
}

/* As compact JSON with sorted keys. */
static void assert_place(const char *expected)
{
    char *text = json_dumps(place, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, expected);
    free(text);
}

static void assert_complaint(const char *expected)
{
    assert_int_equal(settings_complaint_count(settings), 1);
    assert_non_null(strstr(settings_complaint(settings, 0), expected));
}

static void test_xray_place_is_none_without_words(void **state)
{
    (void)state;
    look("", "container.id=c", 0, true);
    assert_null(place);
    look("none", "container.id=c", 0, true);
    assert_null(place);
    assert_null(xray_place_origin(settings));
    assert_int_equal(settings_complaint_count(settings), 0);
}

static void test_xray_place_of_a_container(void **state)
{
    (void)state;
    look("ecs", "container.id=c,host.name=h,aws.ecs.container.arn=arn:aws:ecs:x,k8s.pod.name=p", 0, true);
    assert_place("{\"aws\":{\"ecs\":{\"container\":\"h\",\"container_arn\":\"arn:aws:ecs:x\",\"container_id\":\"c\"}},"
                 "\"origin\":\"AWS::ECS::Container\"}");
    look("eks", "container.id=c,k8s.pod.name=p,k8s.cluster.name=k", 0, true);
    assert_place("{\"aws\":{\"eks\":{\"cluster_name\":\"k\",\"container_id\":\"c\",\"pod\":\"p\"}},"
                 "\"origin\":\"AWS::EKS::Container\"}");
    assert_int_equal(settings_complaint_count(settings), 0);
}

static void test_xray_place_complains_of_what_is_not_found(void **state)
{
    (void)state;
    look("ecs", "a=b", 0, true);
    assert_place("{\"aws\":{},\"origin\":\"AWS::ECS::Container\"}");
    assert_complaint("SPANSHIM_XRAY_PLUGINS: ecs: no container is found");
    look("eks", "a=b", 0, true);
    assert_complaint("SPANSHIM_XRAY_PLUGINS: eks: neither a pod nor a container");
    look("elasticbeanstalk", "a=b", getpid(), true);
    assert_complaint("environment.conf can't be read: No such file");
    look("elasticbeanstalk", "a=b", getpid(), false);
    assert_complaint("environment.conf can't be read: Operation not permitted");
}

static void test_xray_place_has_the_most_specific_origin(void **state)
{
    (void)state;
    look("ec2", "a=b", 0, true);
    assert_place("{\"aws\":{},\"origin\":\"AWS::EC2::Instance\"}");
    look("ec2,ecs", "container.id=c", 0, true);
    assert_string_equal(xray_place_origin(settings), "AWS::ECS::Container");
    look("ecs,eks,ec2", "container.id=c", 0, true);
    assert_string_equal(xray_place_origin(settings), "AWS::EKS::Container");
    look("ec2,ecs,elasticbeanstalk", "container.id=c", 0, true);
    assert_string_equal(xray_place_origin(settings), "AWS::ElasticBeanstalk::Environment");
}

/* A process whose root is this folder. -1: that can't be made here. */
static pid_t start_below(const char *folder)
{
    int ready[2];
    char mark;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        bool is_there = (geteuid() == 0 || unshare(CLONE_NEWUSER) == 0) && chroot(folder) == 0 && chdir("/") == 0;

        if (is_there && write(ready[1], "+", 1) == 1)
            (void)pause();
        _exit(0);
    }
    close(ready[1]);
    bool is_there = read(ready[0], &mark, 1) == 1;
    close(ready[0]);
    if (is_there)
        return pid;
    (void)waitpid(pid, NULL, 0);
    return -1;
}

static void write_file(const char *folder, const char *text)
{
    static const char *const parts[] = {"/var", "/var/elasticbeanstalk", "/var/elasticbeanstalk/xray"};
    char path[256];

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", folder, parts[i]);
        (void)mkdir(path, 0755);
    }
    (void)snprintf(path, sizeof(path), "%s/var/elasticbeanstalk/xray/environment.conf", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_xray_place_reads_beanstalks_file_in_the_processs_root(void **state)
{
    char folder[] = "/tmp/spanshim-test.XXXXXX", command[64];
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(folder));
    pid = start_below(folder);
    write_file(folder,
               "{\"environment_name\": \"shop\", \"version_label\": \"v7\", \"deployment_id\": 32, \"more\": [1]}");
    if (pid > 0) {
        look("elasticbeanstalk", "a=b", pid, true);
        assert_place("{\"aws\":{\"elastic_beanstalk\":{\"deployment_id\":32,\"environment_name\":\"shop\","
                     "\"version_label\":\"v7\"}},\"origin\":\"AWS::ElasticBeanstalk::Environment\"}");
        write_file(folder, "{\"environment_name\": 5");
        look("elasticbeanstalk", "a=b", pid, true);
        assert_complaint("is no JSON object");
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0); /* NOLINT: our own folder */
    if (pid < 0) {
        print_message("no process can have a root of its own here\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_xray_place_is_none_without_words, tear_down),
        cmocka_unit_test_teardown(test_xray_place_of_a_container, tear_down),
        cmocka_unit_test_teardown(test_xray_place_complains_of_what_is_not_found, tear_down),
        cmocka_unit_test_teardown(test_xray_place_has_the_most_specific_origin, tear_down),
        cmocka_unit_test_teardown(test_xray_place_reads_beanstalks_file_in_the_processs_root, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
