/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/detect.h"

#include "exporters/agent/resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

static const struct {
    const char *cgroup, *id, *pod;
} cgroups[] = {
    /* no container */
    {"0::/\n", "", ""},
    {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", "", ""},
    {"0::/system.slice/docker.service\n", "", ""},
    {"0::/a/0123456789abcdef\n", "", ""},
    {"", "", ""},
    /* Docker, either driver of control groups, both versions */
    {"12:pids:/docker/" ID "\n11:cpu,cpuacct:/docker/" ID "\n", ID, ""},
    {"0::/system.slice/docker-" ID ".scope\n", ID, ""},
    {"13:name=systemd:/system.slice/docker-" ID ".scope\n", ID, ""},
    /* in a container in a container the inner one */
    {"0::/docker/" ID2 "/docker/" ID "\n", ID, ""},
    /* a process below the container's group */
    {"0::/system.slice/docker-" ID ".scope/init\n", ID, ""},
    /* Podman; its monitor is no container */
    {"0::/machine.slice/libpod-" ID ".scope/container\n", ID, ""},
    {"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope\n", ID, ""},
    {"0::/machine.slice/libpod-conmon-" ID ".scope\n", "", ""},
    {"0::/libpod_parent/libpod-" ID "\n", ID, ""},
    /* Kubernetes: Docker, containerd, CRI-O */
    {"1:cpu:/kubepods/burstable/pod" POD "/" ID "\n", ID, POD},
    {"0::/kubepods.slice/kubepods-burstable.slice/"
     "kubepods-burstable-podf81d4fae_7dec_11d0_a765_00a0c91e6bf6.slice/cri-containerd-" ID ".scope\n",
     ID, POD},
    {"0::/kubepods.slice/kubepods-podf81d4fae_7dec_11d0_a765_00a0c91e6bf6.slice/crio-" ID ".scope\n", ID, POD},
    {"1:name=systemd:/kubepods.slice/kubepods-podf81d4fae_7dec_11d0_a765_00a0c91e6bf6.slice/crio-conmon-" ID ".scope\n",
     "", POD},
    {"1:cpu:/system.slice/containerd.service/kubepods-besteffort-podf81d4fae_7dec_11d0_a765_00a0c91e6bf6.slice:"
     "cri-containerd:" ID "\n",
     ID, POD},
    /* ECS, Fargate */
    {"9:cpu:/ecs/task-cluster/0123456789abcdef0123456789abcdef/" ID "\n", ID, ""},
    {"9:cpu:/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890\n",
     "0123456789abcdef0123456789abcdef-1234567890", ""},
    /* not quite */
    {"0::/docker/" ID "0\n", "", ""},
    {"0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n", "", ""},
    {"0::/kubepods/podf81d4fae-7dec-11d0-a765-00a0c91e6b\n", "", ""},
};

static void test_detect_reads_control_groups(void **state)
{
    char id[DETECT_ID_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]); i++) {
        detect_id_in_cgroup(cgroups[i].cgroup, id);
        assert_string_equal(id, cgroups[i].id);
        detect_pod_in_cgroup(cgroups[i].cgroup, id);
        assert_string_equal(id, cgroups[i].pod);
    }
}

static const struct {
    const char *mounts, *id, *pod;
} mounts[] = {
    {"1 2 0:1 / / rw - ext4 /dev/sda rw\n", "", ""},
    {"", "", ""},
    {"1 2 0:1\n", "", ""},
    {"718 717 0:5 / / rw - overlay overlay rw\n"
     "730 718 8:1 /var/lib/docker/containers/" ID "/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda rw\n"
     "731 718 8:1 /var/lib/docker/containers/" ID "/hostname /etc/hostname rw - ext4 /dev/sda rw\n",
     ID, ""},
    {"9 8 0:4 /containers/overlay-containers/" ID "/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw\n",
     ID, ""},
    /* a pod's sandbox is another container */
    {"9 8 0:4 /io.containerd.grpc.v1.cri/sandboxes/" ID "/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
     "9 8 0:4 /var/lib/kubelet/pods/" POD "/etc-hosts /etc/hosts rw - ext4 /dev/sda rw\n",
     "", POD},
    {"9 8 0:4 /pods/" POD "/containers/app/1a2b3c4d /dev/termination-log rw - ext4 /dev/sda rw\n", "", POD},
    /* somebody's volume */
    {"9 8 0:4 /var/lib/docker/containers/" ID "/hostname /data/hostname rw - ext4 /dev/sda rw\n", "", ""},
};

static void test_detect_reads_mounts(void **state)
{
    char id[DETECT_ID_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        detect_id_in_mounts(mounts[i].mounts, id);
        assert_string_equal(id, mounts[i].id);
        detect_pod_in_mounts(mounts[i].mounts, id);
        assert_string_equal(id, mounts[i].pod);
    }
}

static void test_detect_reads_shell_variables(void **state)
{
    static const char text[] =
        "# a comment\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME='Deb'\nVERSION_ID=12\nID=\nX=\"open\nY=1";
    static const char *const cases[][2] = {
        {"PRETTY_NAME", "Debian GNU/Linux 12"}, {"NAME", "Deb"}, {"VERSION_ID", "12"}, {"X", "open"}, {"Y", "1"}};
    char value[32];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(detect_variable(text, cases[i][0], value, sizeof(value)));
        assert_string_equal(value, cases[i][1]);
    }
    assert_false(detect_variable(text, "ID", value, sizeof(value)));
    assert_false(detect_variable(text, "VERSION", value, sizeof(value)));
    assert_true(detect_variable(text, "PRETTY_NAME", value, 4)); /* cut */
    assert_string_equal(value, "Deb");
}

static struct resource *describe(const struct resource_facts *facts)
{
    struct settings *settings = settings_new(NULL, 0, NULL);
    struct resource *resource = resource_new(facts, settings);

    settings_unref(settings);
    assert_non_null(resource);
    return resource;
}

static void test_detect_knows_runtimes_by_their_executables(void **state)
{
    static const struct {
        const char *executable, *name, *version;
    } cases[] = {
        {"/usr/bin/python3.11", "cpython", "3.11"},
        {"/usr/bin/python3", "cpython", NULL},
        {"/usr/bin/node", "nodejs", NULL},
        {"/usr/bin/php8.2", "php", "8.2"},
        {"/usr/bin/ruby3.1 (deleted)", "ruby", "3.1"},
        {"/usr/bin/node_exporter", NULL, NULL},
        {"/usr/bin/python3-config", NULL, NULL},
        {"/usr/sbin/nginx", NULL, NULL},
        {"/usr/bin/java", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct resource *resource = describe(&(struct resource_facts){.executable = cases[i].executable});
        const char *name = resource_find(resource, "process.runtime.name");
        const char *version = resource_find(resource, "process.runtime.version");

        if (cases[i].name)
            assert_string_equal(name, cases[i].name);
        else
            assert_null(name);
        if (cases[i].version)
            assert_string_equal(version, cases[i].version);
        else
            assert_null(version);
        resource_free(resource);
    }
}

static void test_detect_takes_pod_variables_only_in_a_pod(void **state)
{
    static const char *const variables[] = {"NODE_NAME=n1", "POD_NAME=other", "K8S_POD_NAME=shop-1",
                                            "POD_NAMESPACE=", "KUBERNETES_SERVICE_HOST=10.0.0.1"};
    struct resource_facts facts = {.variables = variables, .variable_count = 4};
    struct resource *resource = describe(&facts);

    (void)state;
    assert_null(resource_find(resource, "k8s.node.name"));
    resource_free(resource);

    facts.variable_count = 5;
    resource = describe(&facts);
    assert_string_equal(resource_find(resource, "k8s.node.name"), "n1");
    assert_string_equal(resource_find(resource, "k8s.pod.name"), "shop-1");
    assert_null(resource_find(resource, "k8s.namespace.name"));
    resource_free(resource);
}

static void test_detect_reads_this_system(void **state)
{
    struct resource *resource = describe(&(struct resource_facts){.number = getpid()});

    (void)state;
    assert_string_equal(resource_find(resource, "os.type"), "linux");
    if (access("/etc/os-release", R_OK) == 0)
        assert_non_null(resource_find(resource, "os.name"));
    if (access("/etc/machine-id", R_OK) == 0)
        assert_non_null(resource_find(resource, "host.id"));
    resource_free(resource);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect_reads_control_groups),
        cmocka_unit_test(test_detect_reads_mounts),
        cmocka_unit_test(test_detect_reads_shell_variables),
        cmocka_unit_test(test_detect_knows_runtimes_by_their_executables),
        cmocka_unit_test(test_detect_takes_pod_variables_only_in_a_pod),
        cmocka_unit_test(test_detect_reads_this_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
