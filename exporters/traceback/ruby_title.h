/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed above the calls of a Ruby error, and around it: by Rack, Sinatra, Rails, Puma and Ruby's Logger. Used
 * by ruby.c, which reads it, and by the agent, which finds the lines that belong together. */
#ifndef SPANSHIM_TRACEBACK_RUBY_TITLE_H
#define SPANSHIM_TRACEBACK_RUBY_TITLE_H

#include "preload/slice.h"

#include <stdbool.h>

struct ruby_title {
    struct slice class;
    struct slice message; /* what its first line has of it, unless is_whole */
    const char *closing;  /* what the form puts behind the message */
    bool is_whole;        /* the message has no more lines */
};

/* What Ruby's Logger begins each message with: "E, [TIME #PID] ERROR -- PROGRAM: ". False: the line has no such start.
 * Context: pure. */
bool ruby_title_skip_logger(struct slice *line);
/* "[TAG] ", as often as there is one. False: there is none. Context: pure. */
bool ruby_title_skip_tags(struct slice *line);

/* Does a class stand at the start of the line where one form or another has it? Context: pure. */
bool ruby_title_is(struct slice line);
/* The title in the first line of the text, which goes on to its end. False: there is none. Context: pure. */
bool ruby_title_read(struct slice text, struct ruby_title *ret_title);
/* What Puma says of what an application has thrown, and not where: "Rack app ("GET /a" - (::1)): #<KeyError: no b>".
 * Context: pure. */
bool ruby_title_read_rack(struct slice text, struct ruby_title *ret_title);
/* "MESSAGE (CLASS)", from the first line to the end of the last: what Ruby's Logger makes of an error. Context:
 * pure. */
bool ruby_title_read_logged(struct slice first, struct slice last, struct ruby_title *ret_title);

/* The whole message: `last` is the last line above the calls. Context: pure. */
struct slice ruby_title_message(const struct ruby_title *title, struct slice last);

#endif
