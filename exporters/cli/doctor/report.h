/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis on standard output: a screen for people, or JSON. */
#ifndef SPANSHIM_DOCTOR_REPORT_H
#define SPANSHIM_DOCTOR_REPORT_H

#include "exporters/cli/doctor/anatomy.h"
#include "exporters/cli/doctor/diagnosis.h"

/* `running` is NULL for a program that would be started. Context: main thread. */
void report_text(const struct anatomy *anatomy, const struct running *running, const struct diagnosis *diagnosis);
void report_json(const struct anatomy *anatomy, const struct running *running, const struct diagnosis *diagnosis);

#endif
