/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that ends at a page without access: one byte too far is a crash. */
#ifndef SPANSHIM_GUARDED_H
#define SPANSHIM_GUARDED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* So many bytes, whole pages, for the life of the process. Context: test. */
static inline char *guarded_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *start = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(start != MAP_FAILED);
    assert_int_equal(mprotect(start + size, page, PROT_NONE), 0);
    return start;
}

#endif
