/* SPDX-License-Identifier: Apache-2.0 */
/* Is this installation in order, for programs started by this user with these settings? */
#ifndef SPANSHIM_DOCTOR_INSTALLATION_H
#define SPANSHIM_DOCTOR_INSTALLATION_H

#include <stdbool.h>

struct environment;

/* Look at everything that tracing needs and print what is found; `send`: trace a request and deliver its span, too. The
 * exit status: 0: in order; 1: something isn't; 125: out of memory. Context: main thread. */
int installation_check(const struct environment *env, bool as_json, bool send);

#endif
