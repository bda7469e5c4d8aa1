/* SPDX-License-Identifier: Apache-2.0 */
/* Acts as the shim towards an agent: hands a ring over, then does what standard input says, a line each, and answers
 * each with a line.
 *
 *   handover SOCKET [OTEL_...=value]...     the settings it hands over
 *
 *   write FIRST COUNT   so many finished requests, numbered; waits for room          "ok"
 *   open FIRST COUNT    so many requests that stay open                              "ok"
 *   fork                the rest of the input is for a child, which claims a lane; the parent ends          "ok PID"
 *   lanes               claims all lanes, against the rules; goes on with the last  "ok PID"
 *   withhold CAUSE COUNT   so many requests made without a trace header, by its number in enum wire_withhold   "ok"
 *   tail                cells that the agent has given back                          "ok N" */
#include "tests/support/wire_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct wire_writer writer;
static uint32_t lane;
static uint32_t slots_taken;

static size_t put(char *text, size_t at, char kind, const char *value)
{
    text[at] = kind;
    strcpy(text + at + 1, value);
    return at + 2 + strlen(value);
}

static int hand_over(const char *path, char **settings)
{
    static char bytes[WIRE_MESSAGE_MAX];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = {.room = {0}};
    const int fds[2] = {writer.ring_memfd, writer.control_memfd};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t at = sizeof(struct wire_message);
    struct iovec part = {bytes, 0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    at = put(bytes, at, 'x', "/usr/bin/handover");
    at = put(bytes, at, 'a', "handover");
    while (*settings)
        at = put(bytes, at, 'e', *settings++);
    *(struct wire_message *)(void *)bytes =
        (struct wire_message){.magic = WIRE_MAGIC,
                              .version = WIRE_VERSION,
                              .type = WIRE_MESSAGE_HANDOVER,
                              .pid = (uint32_t)getpid(),
                              .text_length = (uint32_t)(at - sizeof(struct wire_message))};
    part.iov_len = at;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) || sendmsg(fd, &message, 0) < 0)
        return -1;
    close(fd);
    close(writer.ring_memfd);
    close(writer.control_memfd);
    return 0;
}

static void write_requests(uint64_t first, uint64_t count)
{
    const struct timespec pause = {.tv_nsec = 200000};
    _Alignas(8) uint8_t bytes[WIRE_SLOT_SIZE];

    for (uint64_t number = first; number < first + count; number++) {
        size_t length = wire_writer_request(bytes, number, number * 7 % 1500);

        while (!wire_writer_write(&writer, lane, WIRE_RECORD_REQUEST, bytes, length, NULL))
            (void)nanosleep(&pause, NULL);
    }
}

static void open_requests(uint64_t first, uint64_t count)
{
    for (uint64_t number = first; number < first + count; number++) {
        uint32_t slot = slots_taken++;
        struct wire_slot *entry = wire_writer_slot(&writer, lane, slot);

        (void)wire_writer_request(entry->request, number, 20);
        wire_slot_request(entry)->end_ns = 0;
        wire_slot_request(entry)->status = 0;
        atomic_fetch_or(&wire_writer_lane(&writer, lane)->slot_map[slot / 64], UINT64_C(1) << slot % 64);
        atomic_store(&entry->open, 1);
    }
}

static void count_withheld(uint64_t cause, uint64_t count)
{
    if (cause < WIRE_WITHHOLD_COUNT)
        atomic_fetch_add(&wire_writer_lane(&writer, lane)->withheld[cause], count);
}

static void claim(void)
{
    for (lane = 0; !wire_writer_claim(&writer, lane, (uint32_t)getpid()); lane++)
        if (lane + 1 == writer.ring->lane_count)
            exit(3);
}

static void claim_all(void)
{
    for (uint32_t other = 0; other < writer.ring->lane_count; other++)
        if (wire_writer_claim(&writer, other, (uint32_t)getpid()))
            lane = other;
}

/* The parent ends at once; the child claims a lane of its own, after a while. */
static void become_child(void)
{
    const struct timespec pause = {.tv_nsec = 300000000};
    pid_t child = fork();

    if (child > 0)
        _exit(0);
    (void)nanosleep(&pause, NULL);
    slots_taken = 0;
    claim();
}

int main(int argc, char **argv)
{
    char line[256];

    (void)setvbuf(stdin, NULL, _IONBF, 0);
    if (argc < 2 || wire_writer_open(&writer, 4, 256, 1024) || hand_over(argv[1], argv + 2))
        return 2;
    claim();
    (void)printf("ok %d\n", (int)getpid());
    (void)fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        unsigned long long first = 0, count = 0;
        char word[16] = "";

        (void)sscanf(line, "%15s %llu %llu", word, &first, &count);
        if (strcmp(word, "write") == 0)
            write_requests(first, count);
        else if (strcmp(word, "open") == 0)
            open_requests(first, count);
        else if (strcmp(word, "withhold") == 0)
            count_withheld(first, count);
        else if (strcmp(word, "lanes") == 0)
            claim_all();
        else if (strcmp(word, "fork") == 0)
            become_child();
        (void)printf("ok %llu\n", strcmp(word, "tail") == 0
                                      ? (unsigned long long)atomic_load(&wire_writer_lane(&writer, lane)->tail)
                                      : (unsigned long long)getpid());
        (void)fflush(stdout);
    }
    return 0;
}
