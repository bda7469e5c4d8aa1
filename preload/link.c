/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/link.h"

#include "preload/arena.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/crash_actions.h"
#include "preload/facts.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/socket.h"
#include "preload/spawn.h"
#include "preload/sys.h"
#include "preload/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    TRIES_MAX = 8,
    LOWEST_FD = 3,     /* never 0, 1 or 2, also for a moment: other threads may write there */
    PLACE_OF_ROOT = 3, /* where other users look last */
    PATH_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path),
};

/* By an agent that takes our ring at all, however little of the processor it gets; what crashes before waits for it. */
#define TAKEN_WITHIN_NS UINT64_C(60000000000)

/* Space for a hand-over, too large for the program's stack. */
struct scratch {
    struct sockaddr_un address;
    struct msghdr message;
    struct iovec pieces[3];
    char ancillary[CMSG_SPACE(2 * sizeof(int))];
    struct wire_message header;
    char paths[2 * WIRE_PAGE];
};

/* What a hand-over needs until it is done. Negative descriptors and null pointers: not made. */
struct handover {
    struct wire_ring *ring;
    struct wire_control *control;
    uint64_t ring_size;
    int ring_fd, control_fd, socket_fd;
};

static struct {
    _Atomic uint32_t busy;                        /* one thread at a time; the others go on without */
    _Atomic uint32_t tries;                       /* failed ones */
    _Atomic uint64_t next_ns;                     /* not before; CLOCK_MONOTONIC */
    _Atomic(const struct wire_control *) control; /* of the ring; NULL: there is none */
    _Atomic uint32_t maker;                       /* process that made the ring; 0: there is none */
    _Atomic uint32_t locking;                     /* new mappings are locked: mlockall(MCL_FUTURE) */
    _Atomic uint64_t taken_by_ns;                 /* an agent that has not taken the ring by then won't */
    struct scratch *scratch;                      /* of who is busy */
    bool ready;                                   /* written at start */
} link_state;

/* Move a descriptor out of the standard ones. */
static int fd_raise(long fd)
{
    if (fd < 0 || fd >= LOWEST_FD)
        return (int)fd;

    long raised = sys_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, LOWEST_FD);
    (void)sys_call1(SYS_close, fd);
    return (int)raised;
}

/* A memfd of this size that nobody can resize any more, mapped. Further seals stay possible: by F_SEAL_WRITE the agent
 * finds out whether anybody still maps it. */
static void *shared_make(const char *name, uint64_t size, int protection, int *ret_fd)
{
    int fd = fd_raise(sys_call2(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    long at = -1;

    *ret_fd = fd;
    if (fd < 0)
        return NULL;
    if (sys_call2(SYS_ftruncate, fd, (long)size) == 0 &&
        sys_call3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        at = sys_call6(SYS_mmap, 0, (long)size, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (at < 0 && at > -4096)
        return NULL;
    (void)sys_call3(SYS_madvise, at, (long)size, MADV_DONTDUMP);
    return (void *)at;
}

/* The largest mapping that the limits allow: beyond RLIMIT_FSIZE ftruncate would raise SIGXFSZ. */
static bool ring_make(struct handover *handover)
{
    enum { SMALLEST = 3 };
    static const struct ring_geometry geometries[SMALLEST + 1] = {
        {16, 2048, WIRE_CELLS_MAX, 4}, {4, 2048, WIRE_CELLS_MAX, 2}, {2, 512, 2048, 1}, {1, 128, 512, 0}};
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    (void)sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit);
    for (size_t i = atomic_load_explicit(&link_state.locking, memory_order_relaxed) ? SMALLEST : 0; i <= SMALLEST;
         i++) {
        handover->ring_size = ring_size(&geometries[i]);
        if (handover->ring_size > limit.rlim_cur)
            continue;
        handover->ring = shared_make("spanshim-ring", handover->ring_size, PROT_READ | PROT_WRITE, &handover->ring_fd);
        if (handover->ring) {
            ring_format(handover->ring, &geometries[i]);
            return true;
        }
        if (handover->ring_fd >= 0)
            (void)sys_call1(SYS_close, handover->ring_fd);
        handover->ring_fd = -1;
    }
    return false;
}

static char *put_text(char *to, char *end, const char *text)
{
    size_t length = to ? strlen(text) : 0;

    if (!to || length >= (size_t)(end - to))
        return NULL;
    memcpy(to, text, length + 1);
    return to + length;
}

static char *put_number(char *to, char *end, unsigned number)
{
    char digits[12];
    char *first = digits + sizeof(digits) - 1;

    *first = '\0';
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put_text(to, end, first);
}

/* The n-th place where an agent may listen; false after the last. Root's agent may serve others: theirs comes first. */
static bool socket_path(unsigned n, unsigned uid, char path[PATH_SIZE])
{
    char *end = path + PATH_SIZE;
    char *at = path;

    path[0] = '\0';
    if (config.agent || config.runtime_dir) {
        if (n > 0)
            return false;
        at = put_text(at, end, config.agent ? config.agent : config.runtime_dir);
        if (!config.agent)
            at = put_text(at, end, "/agent.sock");
        return at != NULL;
    }
    if (n == 0 && config.xdg_runtime_dir) {
        at = put_text(at, end, config.xdg_runtime_dir);
        (void)put_text(at, end, "/spanshim/agent.sock");
    } else if (n == (uid == 0 ? 1 : PLACE_OF_ROOT)) {
        (void)put_text(at, end, "/run/spanshim/agent.sock");
    } else if (n == 2) {
        at = put_text(at, end, "/tmp/spanshim-");
        at = put_number(at, end, uid);
        (void)put_text(at, end, "/agent.sock");
    }
    return n <= PLACE_OF_ROOT;
}

/* Only our own user or root may read what we write. */
static bool peer_is_trusted(int fd, unsigned uid)
{
    struct ucred peer;
    int length = sizeof(peer);

    return sys_call6(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&length, 0) == 0 &&
           (peer.uid == uid || peer.uid == 0);
}

enum agent { AGENT_THERE, AGENT_ABSENT, AGENT_UNUSABLE };

static enum agent agent_connect(struct handover *handover)
{
    struct sockaddr_un *address = &link_state.scratch->address;
    unsigned uid = (unsigned)sys_call0(SYS_geteuid);
    int fd = fd_raise(sys_call3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    enum agent found = fd < 0 ? AGENT_UNUSABLE : AGENT_ABSENT;

    handover->socket_fd = fd;
    address->sun_family = AF_UNIX;
    for (unsigned n = 0; fd >= 0 && socket_path(n, uid, address->sun_path); n++) {
        long result = address->sun_path[0] ? sys_call3(SYS_connect, fd, (long)address, sizeof(*address)) : -ENOENT;
        if (result == 0)
            return peer_is_trusted(fd, uid) ? AGENT_THERE : AGENT_UNUSABLE;
        if (n == PLACE_OF_ROOT)
            continue; /* an agent of root's that doesn't serve this user is as good as none */
        if (result != -ENOENT && result != -ECONNREFUSED)
            found = AGENT_UNUSABLE; /* stopped, or somebody else's: a second one would not help */
    }
    return found;
}

/* "x<executable>" and "w<working directory>". */
static size_t paths_write(char *to, size_t size)
{
    long length;
    size_t at = 0;

    length = sys_call4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)(to + 1), (long)size / 2 - 2);
    if (length > 0) {
        to[0] = 'x';
        to[length + 1] = '\0';
        at = (size_t)length + 2;
    }
    length = sys_call2(SYS_getcwd, (long)(to + at + 1), (long)size / 2 - 2);
    if (length > 0) { /* counts the NUL */
        to[at] = 'w';
        at += (size_t)length + 1;
    }
    return at;
}

/* The hand-over's message, in the scratch's pieces. */
static void message_make(void)
{
    struct scratch *scratch = link_state.scratch;
    size_t facts_length;
    const char *facts = facts_text(&facts_length);
    size_t paths_length = paths_write(scratch->paths, sizeof(scratch->paths));

    scratch->header = (struct wire_message){
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION,
        .type = WIRE_MESSAGE_HANDOVER,
        .pid = process_pid(),
        .text_length = (uint32_t)(paths_length + facts_length),
        .boot_ns = clock_read_ns(CLOCK_BOOTTIME),
    };
    scratch->pieces[0] = (struct iovec){&scratch->header, sizeof(scratch->header)};
    scratch->pieces[1] = (struct iovec){scratch->paths, paths_length};
    scratch->pieces[2] = (struct iovec){(void *)(uintptr_t)facts, facts_length};
}

static bool message_send(const struct handover *handover)
{
    struct scratch *scratch = link_state.scratch;
    struct cmsghdr *ancillary = (struct cmsghdr *)scratch->ancillary;
    int fds[2] = {handover->ring_fd, handover->control_fd};

    ancillary->cmsg_len = CMSG_LEN(sizeof(fds));
    ancillary->cmsg_level = SOL_SOCKET;
    ancillary->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(ancillary), fds, sizeof(fds));
    memset(&scratch->message, 0, sizeof(scratch->message));
    scratch->message.msg_iov = scratch->pieces;
    scratch->message.msg_iovlen = 3;
    scratch->message.msg_control = scratch->ancillary;
    scratch->message.msg_controllen = sizeof(scratch->ancillary);
    return sys_call3(SYS_sendmsg, handover->socket_fd, (long)&scratch->message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

/* No agent: start one that is given the mapping, with the message as a file. */
static bool message_bequeath(const struct handover *handover)
{
    int fd = fd_raise(sys_call2(SYS_memfd_create, (long)"spanshim-message", MFD_CLOEXEC));
    int fds[3] = {handover->ring_fd, handover->control_fd, fd};
    bool done = fd >= 0 && sys_call3(SYS_writev, fd, (long)link_state.scratch->pieces, 3) > 0 && spawn_agent(fds);

    if (fd >= 0)
        (void)sys_call1(SYS_close, fd);
    return done;
}

/* Everything or nothing; no descriptor is left either way. */
static bool hand_over(void)
{
    struct handover handover = {.ring_fd = -1, .control_fd = -1, .socket_fd = -1};
    enum agent agent = agent_connect(&handover);
    bool done = false;

    if (agent == AGENT_ABSENT && (config.agent || !spawn_is_allowed()))
        agent = AGENT_UNUSABLE;
    if (agent != AGENT_UNUSABLE && ring_make(&handover)) {
        handover.control =
            shared_make("spanshim-control", sizeof(struct wire_control), PROT_READ, &handover.control_fd);
        message_make();
        done = handover.control && (agent == AGENT_THERE ? message_send(&handover) : message_bequeath(&handover));
    }
    if (handover.socket_fd >= 0)
        (void)sys_call1(SYS_close, handover.socket_fd);
    if (handover.control_fd >= 0)
        (void)sys_call1(SYS_close, handover.control_fd);
    if (handover.ring_fd >= 0)
        (void)sys_call1(SYS_close, handover.ring_fd);
    if (done) {
        ring_adopt(handover.ring);
        atomic_store_explicit(&link_state.taken_by_ns, clock_mono_ns() + TAKEN_WITHIN_NS, memory_order_relaxed);
        atomic_store_explicit(&link_state.control, handover.control, memory_order_release);
        return true;
    }
    if (handover.control)
        (void)sys_call2(SYS_munmap, (long)handover.control, sizeof(struct wire_control));
    if (handover.ring)
        (void)sys_call2(SYS_munmap, (long)handover.ring, (long)handover.ring_size);
    return false;
}

static void tie_up(void)
{
    if (atomic_exchange_explicit(&link_state.busy, 1, memory_order_acquire) != 0)
        return;
    process_check_fork();
    if (hand_over()) {
        atomic_store_explicit(&link_state.tries, 0, memory_order_relaxed);
        atomic_store_explicit(&link_state.maker, process_pid(), memory_order_relaxed);
        atomic_store_explicit(&process_active, 1, memory_order_release);
        if (config.crash_mode != CRASH_OFF)
            crash_install();
        if (config.crash_mode == CRASH_ALWAYS)
            (void)ring_lane(); /* only of who has one does the agent see a death that no handler noticed */
    } else {
        uint32_t tries = atomic_fetch_add_explicit(&link_state.tries, 1, memory_order_relaxed);
        uint64_t pause_ns = UINT64_C(1000000000) << tries;

        atomic_store_explicit(&link_state.next_ns, clock_mono_ns() + pause_ns, memory_order_relaxed);
    }
    atomic_store_explicit(&link_state.busy, 0, memory_order_release);
}

/* The agent wants nothing of this process (no destination, a wire version it can't read): from now on hooks only
 * forward. Looked at when sockets are made and connections accepted, not for each of their bytes. */
static bool is_switched_off(void)
{
    const struct wire_control *control = link_control();

    if (!control || !atomic_load_explicit(&control->disabled, memory_order_relaxed))
        return false;
    atomic_store_explicit(&process_active, 0, memory_order_relaxed);
    return true;
}

static bool is_hopeless(void)
{
    return !link_state.ready || process_in_vfork != 0 || is_switched_off() ||
           atomic_load_explicit(&process_sandboxed, memory_order_relaxed) ||
           atomic_load_explicit(&link_state.tries, memory_order_relaxed) >= TRIES_MAX;
}

void link_ensure(void)
{
    int saved_errno = errno;

    if (is_hopeless())
        return;
    process_check_fork();
    if (!ring_lane() && (atomic_load_explicit(&link_state.tries, memory_order_relaxed) == 0 ||
                         clock_mono_ns() >= atomic_load_explicit(&link_state.next_ns, memory_order_relaxed)))
        tie_up();
    errno = saved_errno;
}

bool link_is_near(void)
{
    /* acquire: who sees that it is made sees the tie */
    return atomic_load_explicit(&link_state.busy, memory_order_acquire) != 0 ||
           atomic_load_explicit(&process_active, memory_order_acquire);
}

const struct wire_control *link_control(void)
{
    return atomic_load_explicit(&link_state.control, memory_order_acquire);
}

bool link_wants(enum wire_want what)
{
    const struct wire_control *control = link_control();

    if (!control)
        return false;
    /* acquire; pairs with the agent's store of the version, which comes after its wishes. Until then the settings tell
     * what it will want. */
    bool takes_all = config.request_log || config.request_line_form != REQUEST_LINES_OFF;
    if (atomic_load_explicit(&control->version, memory_order_acquire) == 0 && takes_all)
        return what == WIRE_WANT_UNSAMPLED;
    return atomic_load_explicit(&control->wanted, memory_order_relaxed) & what;
}

bool link_crash_is_wanted(void)
{
    const struct wire_control *control = link_control();

    if (!control)
        return false;
    if (atomic_load_explicit(&control->version, memory_order_acquire) == 0)
        return !atomic_load_explicit(&control->disabled, memory_order_relaxed) &&
               clock_mono_ns() < atomic_load_explicit(&link_state.taken_by_ns, memory_order_relaxed);
    return atomic_load_explicit(&control->crash_wanted, memory_order_relaxed) != 0;
}

void link_after_fork(void)
{
    atomic_store_explicit(&link_state.busy, 0, memory_order_relaxed);
}

void link_expect_locking(void)
{
    atomic_store_explicit(&link_state.locking, 1, memory_order_relaxed);
}

void link_before_uid_change(void)
{
    int saved_errno = errno;

    if (is_hopeless())
        return;
    process_check_fork();
    /* Once is enough: file servers change to and fro for each request. */
    if (atomic_load_explicit(&link_state.maker, memory_order_relaxed) != process_pid())
        tie_up();
    errno = saved_errno;
}

void link_received(int fd)
{
    if (is_hopeless())
        return;
    process_check_fork();
    if (!ring_lane() && socket_is_internet(fd))
        link_ensure();
}

static bool has_passed_sockets(char *const *envp)
{
    static const char name[] = "LISTEN_FDS=";

    while (*envp && strncmp(*envp, name, sizeof(name) - 1) != 0)
        envp++;
    return *envp != NULL;
}

void link_init(char *const *envp)
{
    link_state.scratch = arena_alloc(sizeof(*link_state.scratch));
    link_state.ready = link_state.scratch != NULL;
    if (config.crash_mode == CRASH_ALWAYS || socket_is_internet(0) || has_passed_sockets(envp))
        link_ensure();
}
