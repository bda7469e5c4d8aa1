/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a text that many patterns are tried on: most of them differ from it within the first characters,
 * and that shows in a few instructions. Context of all: pure; signal-safe. */
#ifndef SPANSHIM_GLOB_HEAD_H
#define SPANSHIM_GLOB_HEAD_H

#include "preload/slice.h"

#include <emmintrin.h>
#include <stdbool.h>

enum { GLOB_HEAD_SIZE = sizeof(__m128i) };

/* In lower case; zeros behind a shorter text. */
struct glob_head {
    __m128i lower;
};

/* As slice_lower(). */
static inline __m128i glob_head_lower(__m128i text)
{
    __m128i is_upper =
        _mm_and_si128(_mm_cmpgt_epi8(text, _mm_set1_epi8('A' - 1)), _mm_cmpgt_epi8(_mm_set1_epi8('Z' + 1), text));

    return _mm_or_si128(text, _mm_and_si128(is_upper, _mm_set1_epi8(0x20)));
}

static inline struct glob_head glob_head_of(struct slice text)
{
    char bytes[GLOB_HEAD_SIZE] = {0};

    slice_copy(bytes, text.bytes, text.length < sizeof(bytes) ? text.length : sizeof(bytes));
    return (struct glob_head){glob_head_lower(_mm_loadu_si128((const __m128i *)(const void *)bytes))};
}

static inline unsigned glob_head_mask(__m128i bytes, char c)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
}

/* Does no text that begins so fit the pattern, in any case of letters? GLOB_HEAD_SIZE bytes are read of the pattern,
 * however long it is. False: it may fit. */
static inline bool glob_head_excludes(const struct glob_head *head, struct slice pattern)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)pattern.bytes);
    unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(glob_head_lower(bytes), head->lower));
    unsigned special = glob_head_mask(bytes, '*') | glob_head_mask(bytes, '?') | glob_head_mask(bytes, '\\');
    unsigned end = 1u << (pattern.length < GLOB_HEAD_SIZE ? pattern.length : GLOB_HEAD_SIZE);

    special |= end;
    return (~same & ((special & -special) - 1)) != 0; /* a difference before the first of them */
}

#endif
