/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/traceback/traceback.h"

#include "exporters/encode/json_access.h"
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name, *mark;
    traceback_reader *read;
} languages[] = {
#define TRACEBACK(name, mark) {#name, mark, traceback_##name},
#include "exporters/traceback/traceback.def"
#undef TRACEBACK
};

/* Frameworks by a part of their files' paths, or of their functions' names. */
static const struct {
    const char *part, *name;
} frameworks[] = {
    {"/flask/", "flask"},
    {"/django/", "django"},
    {"/fastapi/", "fastapi"},
    {"/starlette/", "starlette"},
    {"/tornado/", "tornado"},
    {"/aiohttp/", "aiohttp"},
    {"/cherrypy/", "cherrypy"},
    {"/express/", "express"},
    {"/fastify/", "fastify"},
    {"/koa/", "koa"},
    {"/railties-", "rails"},
    {"/actionpack-", "rails"},
    {"/sinatra", "sinatra"},
    {"/puma", "puma"},
    {"/laravel/", "laravel"},
    {"/symfony/", "symfony"},
    {"org.springframework.", "spring"},
    {"org.apache.catalina.", "tomcat"},
    {"/Plack/", "plack"},
    {"/Mojolicious", "mojolicious"},
    {"net/http.", "net/http"},
};

static bool has_part(const json_t *frame, const char *part)
{
    const char *file = json_text_of(frame, "file"), *function = json_text_of(frame, "function");

    return (file != NULL && strstr(file, part) != NULL) || (function != NULL && strstr(function, part) != NULL);
}

/* The innermost that is known. */
static const char *find_framework(const json_t *frames)
{
    const json_t *frame;
    size_t i;

    json_array_foreach(frames, i, frame)
    {
        for (size_t n = 0; n < sizeof(frameworks) / sizeof(frameworks[0]); n++)
            if (has_part(frame, frameworks[n].part))
                return frameworks[n].name;
    }
    return NULL;
}

static json_t *pack(const char *language, json_t *errors)
{
    const char *framework = find_framework(json_object_get(json_array_get(errors, 0), "frames"));
    json_t *object = json_pack("{s:s, s:o}", "language", language, "errors", errors);

    if (framework != NULL)
        json_set(object, "framework", json_string(framework));
    return object;
}

json_t *traceback_read(struct slice text)
{
    for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++) {
        struct traceback traceback = {0};

        if (!cursor_has(text, languages[i].mark))
            continue;
        traceback.errors = json_array();
        if (languages[i].read(&traceback, text) && json_array_size(traceback.errors) > 0)
            return pack(languages[i].name, traceback.errors);
        json_decref(traceback.errors);
    }
    return NULL;
}
