/* SPDX-License-Identifier: Apache-2.0 */
/* I/O at times when little of a process is set up. */
#ifndef TEST_APPS_EARLY_H
#define TEST_APPS_EARLY_H

struct early {
    int steps; /* calls that did as they should: EARLY_STEPS */
};

enum { EARLY_STEPS = 10 };

/* What the library's constructor got to. */
extern struct early early_constructor;

/* Talk through a socket pair by all common calls. Context: any time. */
void early_converse(struct early *early);

#endif
