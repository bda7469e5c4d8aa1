/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside made valid UTF-8: strict receivers refuse a whole batch for one bad byte. Used by the encoders, the
 * console, resources and whatever is shown to people. */
#ifndef SPANSHIM_UTF8_H
#define SPANSHIM_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_REPAIRED_MAX = 3 }; /* bytes that one byte may become */

/* Copy, with U+FFFD for what isn't UTF-8 and for NUL, at most max_characters; ends with a NUL. `out` has room for
 * length * UTF8_REPAIRED_MAX + 1 bytes. Returns the bytes written without the NUL. Context: pure. */
size_t utf8_repair(const char *bytes, size_t length, uint32_t max_characters, char *out);

/* Copy a text as far as it fits into `size` bytes with the NUL: repaired likewise, no character cut in two. Context:
 * pure. */
void utf8_copy(const char *text, char *out, size_t size);

/* The character at `bytes`: its length (1 .. 4) and number; 0 when it is no UTF-8. Context: pure. */
size_t utf8_decode(const char *bytes, size_t length, uint32_t *ret_character);

/* Is it all UTF-8, and none of it a control character that no text has? Colours are text. Context: pure. */
bool utf8_is_text(const char *bytes, size_t length);

/* `length` without the first bytes of a character whose rest is missing at its end. Context: pure. */
size_t utf8_whole(const char *bytes, size_t length);

#endif
