/* SPDX-License-Identifier: Apache-2.0 */
/* The entry of every fuzzer, and its assertion. */
#ifndef SPANSHIM_FUZZ_H
#define SPANSHIM_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer and replay.c call this with one input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Holds in every build, with NDEBUG too. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : __builtin_trap())

#endif
