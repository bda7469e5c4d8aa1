/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/child_env.h"

#include "preload/arena.h"
#include "preload/cgi.h"
#include "preload/config.h"
#include "preload/current.h"
#include "preload/outgoing.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/span.h"
#include "preload/start_env.h"

#include <string.h>
#include <unistd.h>

_Thread_local struct child_env *child_env_lent;
struct child_env *child_env_exchanged;

static struct arena_pool blocks = {.block_size = sizeof(struct child_env)};

/* Is it just as this process got it? */
static bool is_inherited(enum start_env_variable variable, const char *entry)
{
    const char *own = start_env_entry(variable);

    return own && strcmp(entry, own) == 0;
}

/* The program's own environment can't be read where its pointers are bad: the kernel is to say so. */
static bool is_readable(char *const *envp)
{
    if (!outgoing_may_read(envp, sizeof(*envp)))
        return false;
    for (; *envp; envp++)
        if (!outgoing_may_read(*envp, 1))
            return false;
    return true;
}

enum word { WORD_NONE, WORD_INHERITED, WORD_PROGRAM };

/* Whose TRACEPARENT is in it? */
static enum word traceparent_of(char *const *envp)
{
    enum word word = WORD_NONE;

    for (; *envp; envp++) {
        if (start_env_variable(*envp) != START_ENV_TRACEPARENT)
            continue;
        if (!is_inherited(START_ENV_TRACEPARENT, *envp))
            return WORD_PROGRAM;
        word = WORD_INHERITED;
    }
    return word;
}

/* "name: value\r\n" becomes "NAME=value" one byte further; returns what comes after it. */
static char *line_to_entry(char *line, const char **ret_entry)
{
    char *colon = strchr(line, ':');
    char *end = strchr(colon, '\r');

    for (char *at = colon; at > line; at--)
        *at = at[-1] >= 'a' && at[-1] <= 'z' ? (char)(at[-1] - 'a' + 'A') : at[-1];
    colon[1] = '=';
    *end = '\0';
    *ret_entry = line + 1;
    return end + 2;
}

/* The context of a request as entries; returns how many. */
static size_t write_context(struct child_env *env, const struct request_ref *request, const char **ret_entries)
{
    size_t length, count = 0;

    if (!span_context_of(request, env->text, CHILD_ENV_TEXT - 1, &length))
        return 0;
    env->text[length] = '\0';
    for (char *line = env->text; line < env->text + length;)
        line = line_to_entry(line, &ret_entries[count++]);
    return count;
}

enum { CONTENT_MAX = START_ENV_COUNT + 1 }; /* the context, and the mark */

/* What is put into an environment. */
struct content {
    const char *entries[CONTENT_MAX + 1]; /* NULL behind the last */
    bool is_context;                      /* the one that this process got gives way to it */
};

/* Is the caller's variable left out? */
static bool gives_way(const char *entry, const struct content *content)
{
    enum start_env_variable variable = start_env_variable(entry);

    if (variable == START_ENV_COUNT)
        return strncmp(entry, CGI_MARK, sizeof(CGI_MARK) - 1) == 0;
    return content->is_context && is_inherited(variable, entry);
}

/* The caller's variables, then ours; TRACEPARENT, TRACESTATE and BAGGAGE of the program's own stay. False: there are
 * too many variables. */
static bool merge(struct child_env *env, char *const *envp, const struct content *content)
{
    bool is_there[START_ENV_COUNT + 1] = {false};
    size_t count = 0;

    for (; *envp; envp++) {
        if (gives_way(*envp, content))
            continue;
        if (count + 1 + CONTENT_MAX >= CHILD_ENV_ENTRIES)
            return false;
        is_there[start_env_variable(*envp)] = true;
        env->entries[count++] = *envp;
    }
    is_there[START_ENV_COUNT] = false; /* any other */
    for (size_t i = 0; content->entries[i]; i++)
        if (!is_there[start_env_variable(content->entries[i])])
            env->entries[count++] = (char *)(uintptr_t)content->entries[i];
    env->entries[count] = NULL;
    return true;
}

/* The context of the current request, which is written into `env`; without a request the context that this process
 * was started with, if the caller has put together an environment that lacks it. */
static size_t find_context(struct child_env *env, struct content *content, enum word word)
{
    struct request_ref request = {0};
    size_t count = 0;

    if (word == WORD_PROGRAM || !(config.environment_mode & ENVIRONMENT_WRITE))
        return 0;
    if (atomic_load_explicit(&process_active, memory_order_acquire))
        request = current_certain();
    if (request.slot)
        count = write_context(env, &request, content->entries);
    else if (word == WORD_NONE && start_env_parent() && request_none_is_open())
        count = start_env_entries(content->entries);
    content->is_context = count > 0;
    return count;
}

struct child_env *child_env_make(char *const *envp, enum child_env_place place)
{
    struct content content = {0};
    struct child_env *env;
    bool is_own = false;

    if (!(atomic_load_explicit(&process_active, memory_order_relaxed) || start_env_parent()) || !is_readable(envp) ||
        !start_env_loads_us(envp))
        return NULL;
    env = arena_pool_get(&blocks);
    if (!env)
        return NULL;
    const char *mark = cgi_mark(&is_own);
    bool goes_on = is_own && place == CHILD_ENV_IN_PLACE;
    size_t count = goes_on ? 0 : find_context(env, &content, traceparent_of(envp));

    if (mark)
        content.entries[count++] = mark;
    if (count == 0 || !merge(env, envp, &content)) {
        if (count > 0)
            ring_withhold(WIRE_WITHHOLD_ENVIRONMENT);
        arena_pool_put(&blocks, env);
        return NULL;
    }
    if (process_in_vfork != 0)
        child_env_lent = env;
    return env;
}

void child_env_free(struct child_env *env)
{
    if (!env)
        return;
    if (child_env_lent == env)
        child_env_lent = NULL;
    arena_pool_put(&blocks, env);
}

void child_env_reclaim(void)
{
    child_env_free(child_env_lent);
}

struct child_env *child_env_exchange(void)
{
    bool is_alone = process_has_one_thread() && process_in_vfork == 0;
    struct child_env *env = is_alone && !child_env_exchanged ? child_env_make(environ, CHILD_ENV_BESIDE) : NULL;

    if (!env)
        return NULL;
    env->replaced = environ;
    child_env_exchanged = env;
    environ = env->entries;
    return env;
}

void child_env_restore(struct child_env *env)
{
    if (!env || child_env_exchanged != env)
        return;
    child_env_exchanged = NULL;
    if (environ != env->entries)
        return; /* a signal's handler has set another one, which is made of ours */
    environ = env->replaced;
    child_env_free(env);
}

void child_env_after_jump(void)
{
    child_env_restore(child_env_exchanged);
}
