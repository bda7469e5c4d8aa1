/* SPDX-License-Identifier: Apache-2.0 */
/* One request to ourselves, traced and exported: the proof that all parts work together. */
#ifndef SPANSHIM_DOCTOR_TRIAL_H
#define SPANSHIM_DOCTOR_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

struct environment;

/* Run trial_request() under `spanshim run` with this environment, sampled and not ignored, and wait until its span is
 * delivered. Whether it was; `ret_text` says what happened, for people. `on_terminal`: the span is shown, and then
 * nothing is left to deliver. Context: main thread. */
bool trial_send(const struct environment *env, bool on_terminal, char *ret_text, size_t size);

/* Serve one request, which is our own, over the loopback. 0, or -errno. Context: main thread. */
int trial_request(void);

#endif
