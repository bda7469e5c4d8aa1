/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_event.h"

#include "exporters/agent/process.h"

#include <errno.h>

int log_event_parse(const struct process *process, const void *bytes, size_t length, struct log_event *ret_event)
{
    const struct log_event_record *record = bytes;
    const char *path = (const char *)(record + 1);

    if (length < sizeof(*record) || record->header.type != WIRE_RECORD_LOG || record->path_length > WIRE_LOG_PATH_MAX ||
        record->header.pad > LOG_EVENT_TEXT_MAX ||
        length - sizeof(*record) != (size_t)record->path_length + record->header.pad)
        return -EBADMSG;
    *ret_event = (struct log_event){.process = process,
                                    .unix_ns = record->mono_ns + (uint64_t)process->wall_offset_ns,
                                    .record = record,
                                    .path = {path, record->path_length},
                                    .text = {path + record->path_length, record->header.pad}};
    return 0;
}
