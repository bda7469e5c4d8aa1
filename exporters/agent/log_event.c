/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_event.h"

#include "exporters/agent/process.h"

#include <errno.h>

int log_event_parse(const struct process *process, const void *bytes, size_t length, struct log_event *ret_event)
{
    const struct log_event_record *record = bytes;

    if (length < sizeof(*record) || record->header.type != WIRE_RECORD_LOG ||
        record->header.pad != length - sizeof(*record) || record->header.pad > LOG_EVENT_TEXT_MAX)
        return -EBADMSG;
    *ret_event = (struct log_event){.process = process,
                                    .unix_ns = record->mono_ns + (uint64_t)process->wall_offset_ns,
                                    .record = record,
                                    .text = {(const char *)(record + 1), record->header.pad}};
    return 0;
}
