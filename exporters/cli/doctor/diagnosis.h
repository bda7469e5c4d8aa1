/* SPDX-License-Identifier: Apache-2.0 */
/* What will be seen of a program's HTTP requests, and why. */
#ifndef SPANSHIM_DOCTOR_DIAGNOSIS_H
#define SPANSHIM_DOCTOR_DIAGNOSIS_H

#include "exporters/cli/doctor/anatomy.h"
#include "exporters/cli/doctor/running.h"

#include <stddef.h>

/* Also the exit status. */
enum verdict { VERDICT_YES = 0, VERDICT_NO = 1, VERDICT_PERHAPS = 2 };

enum { REASONS_MAX = 48 };

struct reason {
    const char *code; /* of the stable list in spanshim(1) */
    char *text;
};

struct diagnosis {
    enum verdict verdict;
    struct reason reasons[REASONS_MAX]; /* those of the verdict first */
    size_t reason_count;
    size_t deciding_count; /* how many of them made the verdict */
};

/* `running` is NULL for a program that would be started. Context: any. */
void diagnosis_make(struct diagnosis *diagnosis, const struct anatomy *anatomy, const struct running *running);

/* "yes", "no", "perhaps". Context: pure. */
const char *verdict_name(enum verdict verdict);

/* Context: any. */
void diagnosis_deinit(struct diagnosis *diagnosis);

#endif
