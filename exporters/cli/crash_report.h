/* SPDX-License-Identifier: Apache-2.0 */
/* A crash report as people read it. */
#ifndef SPANSHIM_CRASH_REPORT_H
#define SPANSHIM_CRASH_REPORT_H

#include <jansson.h>

/* Print it to standard output, coloured on a terminal. Texts of the report come from other programs: control characters
 * are masked. Context: main thread. */
void crash_report_print(const json_t *report);

#endif
