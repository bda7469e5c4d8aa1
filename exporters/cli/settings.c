/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim settings: what a program gets that is started here, where it comes from, and what is wrong with it. */
#include "exporters/agent/settings.h"

#include "exporters/cli/cli.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "exporters/cli/table.h"

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MAX = 8192, SHOWN_MAX = 60 };

/* Each holds what the ones before it hold, and what its own source adds. */
enum source { SOURCE_ENVIRONMENT, SOURCE_FILE, SOURCE_SYSTEM, SOURCE_COUNT };

struct listing {
    struct environment layers[SOURCE_COUNT];
    struct settings *settings;
    bool as_json;
};

/* 0, or an exit status. */
static int read_options(struct listing *listing, int argc, char **argv)
{
    static const struct option options[] = {
        {"env-file", required_argument, NULL, 'e'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (option == 'j') {
            listing->as_json = true;
        } else if (option != 'e') {
            cli_error("see 'spanshim settings --help'");
            return CLI_EXIT_USAGE;
        } else if (env_file_load(&listing->layers[SOURCE_FILE], optarg) != 0) {
            return CLI_EXIT_FAILED;
        }
    }
    return cli_no_arguments("settings", argc - optind + 1, argv + optind - 1) ? 0 : CLI_EXIT_USAGE;
}

/* Where the value that is in force comes from; *ret_given is the text that was found, or NULL. */
static const char *source_of(const struct listing *listing, size_t n, const char **ret_given)
{
    static const char *const texts[SOURCE_COUNT] = {"environment", "--env-file", "system"};
    int source = 0;

    do
        *ret_given = environment_get(&listing->layers[source], settings_row(n)->name);
    while (!*ret_given && ++source < SOURCE_COUNT);
    return *ret_given && listing->settings->in_force[n] ? texts[source] : "default";
}

/* Of a name that is in both lists, or isn't for users to set, nothing is shown. */
static bool is_listed(size_t n)
{
    const char *name = settings_row(n)->name;

    for (size_t i = 0; i < n; i++)
        if (strcmp(settings_row(i)->name, name) == 0)
            return false;
    return strcmp(name, "SPANSHIM_SESSION") != 0;
}

static void print_tables(const struct listing *listing)
{
    static const char *const titles[] = {"SETTING", "VALUE", "FROM"};
    struct table table = {.columns = 3, .titles = titles};
    char value[VALUE_MAX];
    const char *given;

    for (size_t n = 0; settings_row(n); n++) {
        if (!is_listed(n))
            continue;
        const char *source = source_of(listing, n, &given);
        settings_show(listing->settings, n, given, value, sizeof(value));
        char *shown = memory_format("%.*s%s", SHOWN_MAX, *value ? value : "-", strlen(value) > SHOWN_MAX ? "..." : "");
        table_add(&table, settings_row(n)->name);
        table_add(&table, shown);
        table_add(&table, source);
        free(shown);
    }
    table_print(&table);
    table_deinit(&table);
}

static json_t *pack_setting(const struct listing *listing, size_t n)
{
    const char *given;
    const char *source = source_of(listing, n, &given);
    char value[VALUE_MAX];

    settings_show(listing->settings, n, given, value, sizeof(value));
    json_t *text = json_string(value);
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "name", settings_row(n)->name, "value",
                     text ? text : json_string("?"), "from", source, "default", settings_row(n)->initial, "type",
                     settings_row(n)->type, "range", settings_row(n)->range);
}

static void print_json(const struct listing *listing)
{
    json_t *settings = json_array();
    json_t *problems = json_array();

    for (size_t n = 0; settings_row(n); n++)
        if (is_listed(n))
            (void)json_array_append_new(settings, pack_setting(listing, n));
    for (size_t i = 0; i < settings_complaint_count(listing->settings); i++)
        (void)json_array_append_new(problems, json_string(settings_complaint(listing->settings, i)));
    json_t *all = json_pack("{s:o, s:o}", "settings", settings, "problems", problems);
    (void)json_dumpf(all, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(all);
}

static void print_listing(const struct listing *listing)
{
    if (listing->as_json) {
        print_json(listing);
        return;
    }
    print_tables(listing);
    for (size_t i = 0; i < settings_complaint_count(listing->settings); i++)
        cli_warning("%s", settings_complaint(listing->settings, i));
}

/* The layers over one another; false when out of memory. */
static bool read_layers(struct listing *listing)
{
    struct environment *system = &listing->layers[SOURCE_SYSTEM];

    environment_init(system, (const char *const *)listing->layers[SOURCE_FILE].entries);
    env_file_load_system(system);
    listing->settings = settings_new((const char *const *)system->entries, system->count, NULL);
    return listing->settings;
}

int settings_command(int argc, char **argv)
{
    struct listing listing = {0};

    environment_init(&listing.layers[SOURCE_ENVIRONMENT], (const char *const *)environ);
    environment_init(&listing.layers[SOURCE_FILE], (const char *const *)environ);
    int status = read_options(&listing, argc, argv);
    if (!status && !read_layers(&listing))
        status = CLI_EXIT_FAILED;
    if (!status) {
        print_listing(&listing);
        status = settings_complaint_count(listing.settings) > 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
    }
    settings_unref(listing.settings);
    for (int source = 0; source < SOURCE_COUNT; source++)
        environment_deinit(&listing.layers[source]);
    return status;
}
