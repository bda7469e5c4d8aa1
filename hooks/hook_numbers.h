/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks' numbers for assembly files, as the enum in real.h counts them. */
#ifndef SPANSHIM_HOOK_NUMBERS_H
#define SPANSHIM_HOOK_NUMBERS_H

/* clang-format off */
        .set hook_number, 0
#define HOOK_ROW(symbol, library, raw, safe) .set HOOK_##symbol, hook_number; .set hook_number, hook_number + 1
#include "hooks/hooks.def"
#undef HOOK_ROW
/* clang-format on */

#endif
