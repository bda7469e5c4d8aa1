/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/source.h"

#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { SIZE_MAX_BYTES = 1 << 30, CELLS_MIN = 16 };

/* Its size can't change under us: without the seals a truncation would end us by SIGBUS, and so would a file of huge
 * pages when the system has none left. */
static int check_memfd(int memfd, size_t least, size_t *ret_size)
{
    struct statfs system;
    struct stat status;
    int seals = fcntl(memfd, F_GET_SEALS);

    if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
        return -EBADMSG;
    if (fstat(memfd, &status) || fstatfs(memfd, &system))
        return -errno;
    if (system.f_type != TMPFS_MAGIC || !S_ISREG(status.st_mode) || (uint64_t)status.st_size < least ||
        (uint64_t)status.st_size > SIZE_MAX_BYTES)
        return -EBADMSG;
    *ret_size = (size_t)status.st_size;
    return 0;
}

static bool counts_are_valid(const struct wire_ring *ring)
{
    return ring->lane_count >= 1 && ring->lane_count <= WIRE_LANES_MAX && ring->slot_count <= WIRE_SLOTS_MAX &&
           ring->cell_count >= CELLS_MIN && ring->cell_count <= WIRE_CELLS_MAX &&
           (ring->cell_count & (ring->cell_count - 1)) == 0;
}

/* Parts in order, each within the next, aligned; nothing here can overflow: each term is bounded before it is used. */
static bool offsets_are_valid(const struct wire_ring *ring, size_t size)
{
    uint64_t slots_size = (uint64_t)ring->slot_count * WIRE_SLOT_SIZE;
    uint64_t cells_size = (uint64_t)ring->cell_count * WIRE_CELL_SIZE;

    if (ring->lane_stride > size || ring->lane_stride % 64 || ring->slots_offset % 64 || ring->cells_offset % 64)
        return false;
    if (ring->slots_offset < sizeof(struct wire_lane) || ring->slots_offset > ring->lane_stride ||
        ring->cells_offset > ring->lane_stride || ring->cells_offset < ring->slots_offset)
        return false;
    if (slots_size > ring->cells_offset - ring->slots_offset || cells_size > ring->lane_stride - ring->cells_offset)
        return false;
    return ring->lane_stride * ring->lane_count <= size - WIRE_PAGE;
}

/* Each lane's crash is a page of its own within the lane, and the copies are behind the lanes; or there is neither. */
static bool crash_room_is_valid(const struct wire_ring *ring, size_t size)
{
    uint64_t lanes_end = WIRE_PAGE + ring->lane_stride * ring->lane_count;

    if (ring->crash_offset == 0)
        return true;
    if (ring->crash_offset % WIRE_PAGE || ring->lane_stride % WIRE_PAGE ||
        ring->crash_offset < sizeof(struct wire_lane) || ring->lane_stride < WIRE_PAGE ||
        ring->crash_offset > ring->lane_stride - WIRE_PAGE)
        return false;
    if (ring->copy_count == 0)
        return true;
    return ring->copy_count <= WIRE_CRASH_COPIES_MAX && ring->copies_offset % WIRE_PAGE == 0 &&
           ring->copies_offset >= lanes_end && ring->copies_offset <= size &&
           (uint64_t)ring->copy_count * WIRE_CRASH_COPY_SIZE <= size - ring->copies_offset;
}

static int check_geometry(const struct wire_ring *ring, size_t size)
{
    if (ring->magic != WIRE_MAGIC)
        return -EBADMSG;
    if (!wire_version_is_readable(ring->version))
        return -ENOTSUP;
    if (ring->header_size != WIRE_PAGE || ring->mapping_size != size || !counts_are_valid(ring) ||
        !offsets_are_valid(ring, size) || !crash_room_is_valid(ring, size))
        return -EBADMSG;
    return 0;
}

static void unmap_all(struct source *source)
{
    if (source->control)
        (void)munmap(source->control, source->control_size);
    if (source->map)
        (void)munmap(source->map, source->size);
    free(source->lanes);
    source->control = NULL;
    source->counts = NULL;
    source->map = NULL;
    source->lanes = NULL;
}

int source_map_control(struct source *source, int control_memfd)
{
    size_t size;
    int error = check_memfd(control_memfd, WIRE_CONTROL_SMALL, &size);
    void *map;

    if (error)
        return error;
    size = size < sizeof(struct wire_control) ? WIRE_CONTROL_SMALL : sizeof(struct wire_control);
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, control_memfd, 0);
    if (map == MAP_FAILED)
        return -errno;
    source->control = map;
    source->control_size = size;
    static_assert(sizeof(*source->counts) <= sizeof(source->control->agent_counts), "counts");
    source->counts = (struct source_counts *)(void *)source->control->agent_counts;
    return 0;
}

static int take_geometry(struct source *source)
{
    struct wire_ring ring;
    int error;

    memcpy(&ring, source->map, sizeof(ring));
    error = check_geometry(&ring, source->size);
    if (error)
        return error;
    source->lane_count = ring.lane_count;
    source->slot_count = ring.slot_count;
    source->cell_count = ring.cell_count;
    source->lane_stride = ring.lane_stride;
    source->slots_offset = ring.slots_offset;
    source->cells_offset = ring.cells_offset;
    source->crash_offset = ring.crash_offset;
    source->copies_offset = ring.copies_offset;
    source->copy_count = ring.crash_offset ? ring.copy_count : 0;
    source->lanes = calloc(ring.lane_count, sizeof(*source->lanes));
    for (uint32_t lane = 0; source->lanes && lane < source->lane_count; lane++)
        source->lanes[lane] = (struct source_lane){.source = source, .pidfd = -1};
    return source->lanes ? 0 : -ENOMEM;
}

/* One that was sealed against writing is ours alone: what we note in it need not reach anybody. */
static int map_ring(struct source *source)
{
    int seals = fcntl(source->ring_memfd, F_GET_SEALS);
    int flags = seals >= 0 && seals & F_SEAL_WRITE ? MAP_PRIVATE : MAP_SHARED;
    void *map = mmap(NULL, source->size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, source->ring_memfd, 0);

    source->map = map == MAP_FAILED ? NULL : map;
    return source->map ? 0 : -errno;
}

int source_map(struct source *source, int ring_memfd, int control_memfd)
{
    int error = check_memfd(ring_memfd, WIRE_PAGE, &source->size);

    if (error)
        return error;
    source->ring_memfd = fcntl(ring_memfd, F_DUPFD_CLOEXEC, 0);
    if (source->ring_memfd < 0)
        return -errno;
    error = map_ring(source);
    if (!error)
        error = take_geometry(source);
    if (!error)
        error = source_map_control(source, control_memfd);
    if (error) {
        close(source->ring_memfd);
        unmap_all(source);
    }
    return error;
}

int source_is_abandoned(struct source *source)
{
    int error, sealed;

    /* The kernel refuses this seal as long as anybody maps it for writing: we must not. */
    (void)munmap(source->map, source->size);
    source->map = NULL;
    sealed = fcntl(source->ring_memfd, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 1;
    error = map_ring(source);
    if (error)
        return error;
    return sealed == -EBUSY ? 0 : sealed;
}

void source_unmap(struct source *source)
{
    if (source->lanes)
        close(source->ring_memfd);
    unmap_all(source);
}

const char *source_xray_name(const struct source *source)
{
    const char *given = source->settings ? source->settings->xray_tracing_name : NULL;
    const char *service = source->resource ? source->resource->service_name : NULL;

    return given ? given : service ? service : "unknown_service";
}
