/* SPDX-License-Identifier: Apache-2.0 */
/* Where a line, a field's name or a target ends: 16 bytes at a time, by SSE2, which every x86-64 has. A head's lines
 * are short, so calls of memchr() for one byte each cost more than they find (3500 of 6900 instructions per request).
 * Nothing beyond `end` is read. Context: all of these are pure; signal-safe. */
#ifndef SPANSHIM_SCAN_H
#define SPANSHIM_SCAN_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { SCAN_WIDTH = 16 };

/* What a scan stops at, of one byte and of 16: a bit for each. */
struct scan_set {
    bool (*has)(char c);
    unsigned (*among)(__m128i bytes);
};

/* The same of fewer than 16 bytes: of its first `width` bytes and its last ones, 8 or 4, in one look. */
__attribute__((always_inline)) static inline const char *scan_ends(struct scan_set set, const char *from,
                                                                   const char *end, unsigned width, __m128i both)
{
    unsigned found = set.among(both) & ((1u << 2 * width) - 1);

    if (found & ((1u << width) - 1))
        return from + __builtin_ctz(found);
    return found ? end - 2 * width + __builtin_ctz(found) : end;
}

__attribute__((always_inline)) static inline const char *scan_short(struct scan_set set, const char *from,
                                                                    const char *end)
{
    int first, last;

    if (end - from >= 8)
        return scan_ends(set, from, end, 8,
                         _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(const void *)from),
                                            _mm_loadl_epi64((const __m128i *)(const void *)(end - 8))));
    if (end - from >= 4) {
        memcpy(&first, from, sizeof(first));
        memcpy(&last, end - sizeof(last), sizeof(last));
        return scan_ends(set, from, end, 4, _mm_unpacklo_epi32(_mm_cvtsi32_si128(first), _mm_cvtsi32_si128(last)));
    }
    while (from < end && !set.has(*from))
        from++;
    return from;
}

/* The first byte of from..end that is in the set, else `end`. What begins at `start` may be read. Always inlined, so
 * that the set is no call. */
__attribute__((always_inline)) static inline const char *scan_until(struct scan_set set, const char *start,
                                                                    const char *from, const char *end)
{
    if (end - from >= SCAN_WIDTH) {
        const char *last = end - SCAN_WIDTH;

        do {
            unsigned found = set.among(_mm_loadu_si128((const __m128i *)(const void *)from));

            if (found)
                return from + __builtin_ctz(found);
            from += SCAN_WIDTH;
        } while (from <= last);
    }
    if (end - start >= SCAN_WIDTH) { /* the last ones together with some from before */
        unsigned found = set.among(_mm_loadu_si128((const __m128i *)(const void *)(end - SCAN_WIDTH)));

        found >>= SCAN_WIDTH - (end - from);
        return found ? from + __builtin_ctz(found) : end;
    }
    return scan_short(set, from, end);
}

static inline __m128i scan_equal(__m128i bytes, char c)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

/* The end of a line, and what has no place in one: LF, CR, NUL. */
static inline bool scan_ends_line(char c)
{
    return c == '\n' || c == '\r' || c == '\0';
}

static inline unsigned scan_ends_line_among(__m128i bytes)
{
    __m128i ends = _mm_or_si128(scan_equal(bytes, '\n'), scan_equal(bytes, '\r'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(ends, scan_equal(bytes, '\0')));
}

/* What may not be in a field's name: blanks, control bytes, the colon, and whatever isn't ASCII. */
static inline bool scan_ends_name(char c)
{
    return c <= ' ' || c == ':' || c == 0x7f; /* char is signed here */
}

static inline unsigned scan_ends_name_among(__m128i bytes)
{
    __m128i ends = _mm_or_si128(scan_equal(bytes, ':'), scan_equal(bytes, 0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(ends, _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ' + 1))));
}

/* What may not be in a target: blanks and control bytes. Servers take raw UTF-8 there. */
static inline bool scan_ends_target(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

static inline unsigned scan_ends_target_among(__m128i bytes)
{
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(' ')), bytes);

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, scan_equal(bytes, 0x7f)));
}

__attribute__((always_inline)) static inline const char *scan_line(const char *start, const char *from, const char *end)
{
    return scan_until((struct scan_set){scan_ends_line, scan_ends_line_among}, start, from, end);
}

__attribute__((always_inline)) static inline const char *scan_name(const char *from, const char *end)
{
    return scan_until((struct scan_set){scan_ends_name, scan_ends_name_among}, from, from, end);
}

static inline const char *scan_target(const char *start, const char *from, const char *end)
{
    return scan_until((struct scan_set){scan_ends_target, scan_ends_target_among}, start, from, end);
}

/* What separates the parts of a target: a query, a fragment. */
static inline bool scan_ends_path(char c)
{
    return c == '?' || c == '#';
}

static inline unsigned scan_ends_path_among(__m128i bytes)
{
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(scan_equal(bytes, '?'), scan_equal(bytes, '#')));
}

static inline const char *scan_path(const char *from, const char *end)
{
    return scan_until((struct scan_set){scan_ends_path, scan_ends_path_among}, from, from, end);
}

/* What follows a URL's authority. */
static inline bool scan_ends_authority(char c)
{
    return c == '/' || scan_ends_path(c);
}

static inline unsigned scan_ends_authority_among(__m128i bytes)
{
    return scan_ends_path_among(bytes) | (unsigned)_mm_movemask_epi8(scan_equal(bytes, '/'));
}

static inline const char *scan_authority(const char *from, const char *end)
{
    return scan_until((struct scan_set){scan_ends_authority, scan_ends_authority_among}, from, from, end);
}

/* What a key, a URL or an encoded byte in a target can't be without. */
static inline bool scan_marks_key(char c)
{
    return c == '=' || c == '%' || c == ':';
}

static inline unsigned scan_marks_key_among(__m128i bytes)
{
    __m128i marks = _mm_or_si128(scan_equal(bytes, '='), scan_equal(bytes, '%'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(marks, scan_equal(bytes, ':')));
}

static inline const char *scan_key(const char *from, const char *end)
{
    return scan_until((struct scan_set){scan_marks_key, scan_marks_key_among}, from, from, end);
}

#endif
