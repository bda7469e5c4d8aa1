/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/zone.h"

#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM "/etc/localtime"
#define FOLDER "/usr/share/zoneinfo/"
#define MAGIC  "TZif"

/* A struct zone is GLib's, under a name that needs no header of GLib's. */
static GTimeZone *glib_zone(const struct zone *zone)
{
    return (GTimeZone *)(uintptr_t)zone;
}

/* Is there something else in the folder by that name, like zone.tab? GLib complains of it, on our standard error. */
static bool is_no_zone(const char *name)
{
    char path[PATH_MAX], start[sizeof(MAGIC) - 1];

    if (snprintf(path, sizeof(path), FOLDER "%s", name) >= (int)sizeof(path))
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, start, sizeof(start));
    (void)close(fd);
    return length != (ssize_t)sizeof(start) || memcmp(start, MAGIC, sizeof(start)) != 0;
}

struct zone *zone_new(const char *tz)
{
    if (tz == NULL)
        tz = SYSTEM;
    if (*tz == ':')
        tz++;
    if (strncmp(tz, FOLDER, strlen(FOLDER)) == 0)
        tz += strlen(FOLDER);
    if (*tz == '/' || strstr(tz, "..") != NULL)
        tz = SYSTEM;
    if (*tz != '/' && is_no_zone(tz))
        return NULL;
    return (struct zone *)g_time_zone_new_identifier(tz);
}

void zone_free(struct zone *zone)
{
    if (zone != NULL)
        g_time_zone_unref(glib_zone(zone));
}

struct tm zone_local_time(const struct zone *zone, uint64_t unix_ns)
{
    gint64 seconds = (gint64)(unix_ns / 1000000000);
    struct tm local = {0};
    gint32 east = 0;

    if (zone != NULL) {
        gint interval = g_time_zone_find_interval(glib_zone(zone), G_TIME_TYPE_UNIVERSAL, seconds);

        east = g_time_zone_get_offset(glib_zone(zone), interval);
    }
    time_t shifted = (time_t)(seconds + east);
    (void)gmtime_r(&shifted, &local);
    local.tm_gmtoff = east;
    return local;
}
