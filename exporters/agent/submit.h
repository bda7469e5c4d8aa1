/* SPDX-License-Identifier: Apache-2.0 */
/* A report that a person sends (`spanshim report`): made of the message, and given to the destinations of the settings
 * that come with it. Called by command.c. */
#ifndef SPANSHIM_SUBMIT_H
#define SPANSHIM_SUBMIT_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

/* `answer` is a new object, as command.h says. */
typedef void submit_done(void *arg, json_t *answer);

/* `text`: the entries of a WIRE_MESSAGE_REPORT (wire.h). done is called once, now or later: when the report has been
 * sent, or is kept to be sent. Context: loop. */
void submit_take(uid_t uid, const char *text, size_t length, submit_done *done, void *arg);

#endif
