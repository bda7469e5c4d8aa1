/* SPDX-License-Identifier: Apache-2.0 */
/* Part of wire.h: the messages that the agent's socket takes, hand-overs and commands. */
#ifndef SPANSHIM_WIRE_MESSAGE_H
#define SPANSHIM_WIRE_MESSAGE_H

#include <assert.h>
#include <stdint.h>

/* AF_UNIX, SOCK_SEQPACKET. A connection carries one message. The shim sends its hand-over without waiting and closes;
 * the command line waits for an answer (JSON text, then end of file). Both ends check SO_PEERCRED: the shim trusts
 * its own uid and root, the agent those too, and whom it is told to serve. */
enum wire_message_type {
    WIRE_MESSAGE_HANDOVER = 1, /* descriptors: ring memfd, control memfd */
    WIRE_MESSAGE_STATUS = 2,
    WIRE_MESSAGE_FLUSH = 3,
    WIRE_MESSAGE_CONSOLE = 4, /* descriptor: where to print; text: eSPANSHIM_SESSION=...; answered when it ends */
    WIRE_MESSAGE_STOP = 5,
    WIRE_MESSAGE_BEQUEST = 6, /* a hand-over passed on by another process: `pid`, of the same user, is whose it is */
    WIRE_MESSAGE_REPORT = 7,  /* a person's, to be sent on; text: lLEVEL, tTITLE, mMESSAGE, and e and w as below */
    WIRE_MESSAGE_BARRIER = 8, /* answered when what came before it, hand-overs too, was taken */
};

enum { WIRE_MESSAGE_MAX = 32768 };

/* Variables that a hand-over carries to describe a pod of Kubernetes, as manifests name what the downward API gives,
 * and the one that the kubelet sets in every container. X(attribute, VARIABLE) */
#define WIRE_POD_MARK "KUBERNETES_SERVICE_HOST"
#define WIRE_POD_VARIABLES(X)                                                                                          \
    X("k8s.pod.name", K8S_POD_NAME)                                                                                    \
    X("k8s.pod.name", OTEL_RESOURCE_ATTRIBUTES_POD_NAME)                                                               \
    X("k8s.pod.name", POD_NAME)                                                                                        \
    X("k8s.pod.uid", K8S_POD_UID)                                                                                      \
    X("k8s.pod.uid", OTEL_RESOURCE_ATTRIBUTES_POD_UID)                                                                 \
    X("k8s.pod.uid", POD_UID)                                                                                          \
    X("k8s.namespace.name", K8S_NAMESPACE_NAME)                                                                        \
    X("k8s.namespace.name", K8S_NAMESPACE)                                                                             \
    X("k8s.namespace.name", POD_NAMESPACE)                                                                             \
    X("k8s.node.name", K8S_NODE_NAME)                                                                                  \
    X("k8s.node.name", OTEL_RESOURCE_ATTRIBUTES_NODE_NAME)                                                             \
    X("k8s.node.name", NODE_NAME)                                                                                      \
    X("k8s.container.name", K8S_CONTAINER_NAME)                                                                        \
    X("k8s.container.name", CONTAINER_NAME)                                                                            \
    X("k8s.cluster.name", K8S_CLUSTER_NAME)

struct wire_message {
    uint32_t magic;
    uint16_t version;
    uint16_t type;        /* enum wire_message_type */
    uint32_t pid;         /* of the sender, in its own namespace: a hint */
    uint32_t text_length; /* bytes after this header */
    uint64_t boot_ns;     /* CLOCK_BOOTTIME when it was sent */
    /* Then text: NUL-terminated entries, told apart by their first byte:
     *   x<path of the executable>   a<argument> (argv in order, each)   w<working directory>   e<NAME=value> (settings)
     *   o<NAME> (the first setting that was left out: it or all of them are too long)
     *   f<number> (what is wrong with the system's file of settings: -errno, or the first line that is no assignment)
     */
};
static_assert(sizeof(struct wire_message) == 24, "wire_message");

#endif
