/* SPDX-License-Identifier: Apache-2.0 */
/* What makes two reports the same: SHA-1 over the class of the exception and the innermost functions of the program's
 * own. The same for every address the program is loaded at and every shift of lines. Called by rollbar.c. */
#ifndef SPANSHIM_ROLLBAR_FINGERPRINT_H
#define SPANSHIM_ROLLBAR_FINGERPRINT_H

#include <jansson.h>

enum { ROLLBAR_FINGERPRINT_SIZE = 41 }; /* 40 hex digits and the NUL */

/* Of a crash; of a death, by its signal and program; of a message, by its level and its words without digits.
 * Context: pure. */
void rollbar_fingerprint(const json_t *report, char out[ROLLBAR_FINGERPRINT_SIZE]);

#endif
