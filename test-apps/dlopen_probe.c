/* SPDX-License-Identifier: Apache-2.0 */
/* Objects loaded at run time, by the program and by a library of it, in every way; says what came of it. */
#include "dlopen_caller.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef const char *say_function(void);

static void *before_start, *in_constructor;

/* Before any constructor runs, the preload's included. */
static void preinit(void)
{
    before_start = caller_open("libdlopen_plugin.so", RTLD_LAZY | RTLD_DEEPBIND);
    if (before_start)
        (void)dlclose(before_start);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

__attribute__((constructor)) static void start(void)
{
    in_constructor = caller_open("libdlopen_plugin.so", RTLD_LAZY | RTLD_DEEPBIND);
    if (in_constructor)
        (void)dlclose(in_constructor);
}

static void *show(const char *what, void *handle)
{
    const char *error = handle ? NULL : dlerror();

    (void)printf("%s: %s\n", what, handle ? "loaded" : error ? error : "no error text");
    return handle;
}

/* What a function of the object, which calls another by name, says. */
static void ask(const char *what, void *handle, const char *symbol)
{
    say_function *say = handle ? (say_function *)dlsym(handle, symbol) : NULL;

    (void)printf("%s: %s\n", what, say ? say() : "nothing");
}

/* By the RUNPATH of who calls, and not by anybody else's. */
static void search(void)
{
    void *handle;

    (void)show("no object's path", dlopen("libdlopen_plugin.so", RTLD_NOW));
    (void)show("not loaded yet", caller_open("libdlopen_plugin.so", RTLD_NOW | RTLD_NOLOAD));
    handle = show("the caller's path", caller_open("libdlopen_plugin.so", RTLD_NOW));
    (void)show("loaded by now", caller_open("libdlopen_plugin.so", RTLD_NOW | RTLD_NOLOAD));
    (void)dlclose(handle);
    (void)dlclose(handle);
    (void)show("the program itself", dlopen(NULL, RTLD_NOW | RTLD_DEEPBIND));
}

static void fail(void)
{
    (void)show("no such file", dlopen("/nonexistent/libnone.so", RTLD_NOW | RTLD_DEEPBIND));
    (void)show("no way of binding", caller_open("libdlopen_plugin.so", RTLD_DEEPBIND));
    (void)show("no object", dlopen("/etc/passwd", RTLD_NOW | RTLD_DEEPBIND));
}

/* Two objects with a function of the same name, each of which calls its own only if it is bound deeply. */
static void clash(void)
{
    const int flags = RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND;
    void *plugin = show("the first", caller_open("libdlopen_plugin.so", flags));
    void *other = show("the second", caller_open("libdlopen_other.so", flags));

    ask("the first calls", plugin, "say_plugin");
    ask("the second calls", other, "say_other");
}

/* An object of a namespace of its own, with a libc of its own. */
static void elsewhere(void)
{
    char path[4096];

    caller_path("libdlopen_plugin.so", path, sizeof(path));
    ask("in another namespace", show("dlmopen", dlmopen(LM_ID_NEWLM, path, RTLD_NOW)), "say_plugin");
}

int main(void)
{
    (void)printf("before start: %d, in a constructor: %d\n", before_start != NULL, in_constructor != NULL);
    search();
    fail();
    elsewhere();
    clash();
    return 0;
}
