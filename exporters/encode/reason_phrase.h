/* SPDX-License-Identifier: Apache-2.0 */
/* What a status code is called. Used where people read it; what a server said itself is not recorded. */
#ifndef SPANSHIM_REASON_PHRASE_H
#define SPANSHIM_REASON_PHRASE_H

/* By RFC 9110 and the IANA registry, for ever; NULL: it is in neither. Context: pure. */
const char *reason_phrase(unsigned status);

#endif
