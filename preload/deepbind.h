/* SPDX-License-Identifier: Apache-2.0 */
/* Objects loaded with RTLD_DEEPBIND: they look their symbols up in themselves and their libraries first, so a preload
 * is never called by them. PHP loads every extension like that: what its curl extension does would go by unseen.
 * Without the flag they are bound as objects usually are: see docs/decisions/deep-binding.md. */
#ifndef SPANSHIM_DEEPBIND_H
#define SPANSHIM_DEEPBIND_H

enum deepbind_mode {
    DEEPBIND_AUTO, /* the flag is taken from what PHP loads */
    DEEPBIND_KEEP,
    DEEPBIND_DROP, /* from what anybody loads */
};

/* Until then all flags are kept. Context: start. */
void deepbind_init(enum deepbind_mode mode);

/* The flags with which the object is to be loaded. `caller` is the return address of dlopen(), whose flags have
 * RTLD_DEEPBIND in them. Context: hook; takes the loader's lock, as dlopen() does. */
int deepbind_flags(int flags, const void *caller);

#endif
