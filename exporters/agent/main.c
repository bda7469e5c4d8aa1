/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim-agent: options, start. */
#include "exporters/agent/adopt.h"
#include "exporters/agent/keeper.h"
#include "exporters/agent/log.h"
#include "exporters/agent/log_path.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/runtime.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/spool.h"
#include "exporters/agent/spool_path.h"
#include "exporters/agent/users.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    const char *socket_path;
    const char *log_path;
    const char *served; /* NULL: our own user and root alone */
    bool background, if_absent, stays, adopts;
};

static const char *spool_error; /* NULL: none; written at start, to be logged */

static const char usage[] =
    "usage: spanshim-agent [OPTION]...\n"
    "Takes what programs under spanshim record, and exports it. Usually started by `spanshim run`.\n"
    "\n"
    "  --socket PATH     listen there; else SPANSHIM_AGENT, SPANSHIM_RUNTIME_DIR/agent.sock,\n"
    "                    XDG_RUNTIME_DIR/spanshim/agent.sock, /run/spanshim/agent.sock (root) or\n"
    "                    /tmp/spanshim-UID/agent.sock\n"
    "  --background      return when it listens; go on as a daemon\n"
    "  --if-absent       succeed without a word when an agent is there already\n"
    "  --adopt           descriptors 3, 4 and 5 are the hand-over of the program that starts this: ring,\n"
    "                    control page, message; needs --background\n"
    "  --stay            don't end when there is nothing left to do\n"
    "  --serve-uid LIST  serve these users too, names or numbers, comma separated, or: all\n"
    "  --log PATH        log to this file, - is standard error; else XDG_STATE_HOME/spanshim/agent.log,\n"
    "                    ~/.local/state/spanshim/agent.log or /var/log/spanshim/agent.log (root)\n"
    "  --debug           log more\n"
    "  --help, --version\n";

static void choose_spool(const char *given)
{
    char folder[PATH_MAX];
    int result = spool_path_choose(given, folder, sizeof(folder));

    if (result == -EINVAL || result == -ENAMETOOLONG) {
        spool_error = "SPANSHIM_SPOOL_DIR is no absolute path; the usual folder is used";
        result = spool_path_choose(NULL, folder, sizeof(folder));
    }
    if (result == 0)
        spool_set_folder(folder);
}

/* What is said here, and where things are kept, is ruled by the agent's own environment, which is that of the program
 * that made it start. */
static void read_environment(void)
{
    size_t count = 0;

    while (environ[count] != NULL)
        count++;
    struct settings *settings = settings_new((const char *const *)environ, count, NULL);
    if (settings != NULL) {
        log_set_level(log_level_of(settings->log_level));
        choose_spool(settings->spool_folder);
    }
    settings_unref(settings);
}

static void parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"socket", required_argument, NULL, 's'},
        {"background", no_argument, NULL, 'b'},
        {"if-absent", no_argument, NULL, 'a'},
        {"adopt", no_argument, NULL, 'A'},
        {"stay", no_argument, NULL, 'y'},
        {"log", required_argument, NULL, 'l'},
        {"debug", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {"serve-uid", required_argument, NULL, 'u'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's':
            options->socket_path = optarg;
            break;
        case 'b':
            options->background = true;
            break;
        case 'a':
            options->if_absent = true;
            break;
        case 'A':
            options->adopts = true;
            break;
        case 'y':
            options->stays = true;
            break;
        case 'l':
            options->log_path = optarg;
            break;
        case 'u':
            options->served = optarg;
            break;
        case 'd':
            log_set_level(LOG_LEVEL_DEBUG);
            break;
        case 'h':
            (void)fputs(usage, stdout);
            exit(0);
        case 'v':
            (void)puts("spanshim-agent " SPANSHIM_VERSION);
            exit(0);
        default:
            (void)fputs("Try: spanshim-agent --help\n", stderr);
            exit(2);
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "spanshim-agent: %s: not an option\n", argv[optind]);
        exit(2);
    }
}

/* What we open later must not become a standard descriptor: lines for people would go into it. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return;
}

/* We must not trace ourselves: once more, without what was preloaded. */
static void leave_preload(char **argv)
{
    const char *preload = getenv("LD_PRELOAD");
    bool ours = preload && strstr(preload, "libspanshim");

    (void)unsetenv("LD_PRELOAD");
    if (ours)
        (void)execv("/proc/self/exe", argv);
}

/* What a program that started us may use, and how urgent it is, is its own affair: a server's limit for files or
 * processor time would end us, its real-time priority would let us get in its way. */
static void leave_limits(void)
{
    static const int kinds[] = {RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU, RLIMIT_RTTIME};
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    const struct sched_param ordinary = {0};
    struct rlimit limit;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (setrlimit(kinds[i], &none) == 0 || getrlimit(kinds[i], &limit))
            continue;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(kinds[i], &limit);
    }
    (void)signal(SIGXFSZ, SIG_IGN); /* a write beyond a hard limit fails, then */
    (void)sched_setscheduler(0, SCHED_OTHER, &ordinary);
    (void)umask(077);
}

/* It holds tokens: no core, no debugger of the same user's other programs. And descriptors for many rings. */
static void harden(void)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files;

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_NAME, "spanshim-agent");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int fail(const char *error)
{
    (void)fprintf(stderr, "spanshim-agent: %s\n", error);
    return 1;
}

/* Folder, lock, socket. 0; 1: an agent is there already; -1: `error` says why not. */
static int claim(const struct options *options, char path[RUNTIME_PATH_MAX], struct keeper_options *keeper,
                 char error[RUNTIME_ERROR_MAX])
{
    int result;

    if (runtime_socket_path(options->socket_path, path, error) || runtime_claim_folder(path, error))
        return -1;
    result = runtime_lock(path, &keeper->lock, error); /* held until we end */
    if (result <= 0)
        return result == 0 ? 1 : -1;
    keeper_hold_signals();
    return runtime_listen(path, &keeper->listener, error) ? -1 : 0;
}

/* The parent waits for the child's word, so that who started us finds the socket; what it is to adopt it hands over
 * then, to whatever agent listens. Returns in the child only; the descriptor to say the word on. */
static int go_to_background(const struct options *options)
{
    int word[2];
    char byte;
    pid_t child;

    if (pipe2(word, O_CLOEXEC))
        exit(fail(strerror(errno)));
    child = fork();
    if (child < 0)
        exit(fail(strerror(errno)));
    if (child > 0) {
        close(word[1]);
        if (read(word[0], &byte, 1) != 1)
            byte = 1;
        _exit(byte == 0 && options->adopts ? adopt_hand_over(options->socket_path) : byte);
    }
    close(word[0]);
    if (options->adopts)
        adopt_close();
    (void)setsid();
    return word[1];
}

/* Standard descriptors must not keep a terminal or a pipe of the starter open. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)chdir("/");
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        (void)dup2(null, fd);
    if (null > 2)
        close(null);
}

static void say(int word, int status)
{
    char byte = (char)status;

    if (word >= 0)
        (void)!write(word, &byte, 1);
    if (word >= 0)
        close(word);
}

/* Where to log; NULL: standard error. */
static const char *choose_log(const struct options *options, char path[PATH_MAX])
{
    if (options->log_path)
        return strcmp(options->log_path, "-") == 0 ? NULL : options->log_path;
    return log_path_choose(path, PATH_MAX) ? NULL : path;
}

/* What is shared with the workers, and with whom the socket is: before there is one. */
static int prepare_memory(const struct options *options, char error[RUNTIME_ERROR_MAX])
{
    static_assert((int)USERS_ERROR_MAX <= (int)RUNTIME_ERROR_MAX, "error");
    if (users_init() || reading_init()) {
        (void)snprintf(error, RUNTIME_ERROR_MAX, "out of memory");
        return -1;
    }
    return options->served && users_serve(options->served, error) ? -1 : 0;
}

static int run(const struct options *options, int activated, int word)
{
    char socket_path[RUNTIME_PATH_MAX], log_path[PATH_MAX], error[RUNTIME_ERROR_MAX] = "";
    struct keeper_options keeper = {.listener = activated, .lock = -1, .stays = options->stays || activated >= 0};
    int result = prepare_memory(options, error);

    if (!result && activated < 0)
        result = claim(options, socket_path, &keeper, error);

    if (activated >= 0)
        keeper_hold_signals();
    if (result == 1 && options->if_absent) {
        say(word, 0);
        return 0;
    }
    if (result) {
        (void)fail(result == 1 ? "an agent is running already" : error);
        say(word, 1);
        return 1;
    }
    keeper.socket_path = activated >= 0 ? NULL : socket_path;
    keeper.log_path = choose_log(options, log_path);
    if (log_open(keeper.log_path))
        keeper.log_path = NULL; /* no log is no reason not to serve */
    if (options->background)
        leave_terminal();
    say(word, 0);
    log_line(LOG_LEVEL_INFO, "agent " SPANSHIM_VERSION " listens at %s",
             activated >= 0 ? "a passed socket" : socket_path);
    if (spool_error)
        log_line(LOG_LEVEL_WARN, "%s", spool_error);
    return keeper_run(&keeper);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int activated;

    hold_standard_descriptors();
    read_environment();
    parse_options(argc, argv, &options);
    if (options.adopts)
        adopt_close_others();
    leave_preload(argv);
    activated = runtime_activated_socket();
    leave_limits();
    harden();
    return run(&options, activated, options.background ? go_to_background(&options) : -1);
}
