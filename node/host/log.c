#include "node/host/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_SIZE 1200

/* The one place of the host with state of the process: a log line may be written before anything is set up, and from any thread. */
static struct {
    pthread_mutex_t lock;
    enum log_level most;
    int fd;
    bool colour, live;
} logger = {PTHREAD_MUTEX_INITIALIZER, LOG_INFO, STDERR_FILENO, false, false};

static const struct {
    const char *name, *colour;
} levels[] = {
    [LOG_ERROR] = {"error", "\033[31m"},
    [LOG_WARNING] = {"warn", "\033[33m"},
    [LOG_INFO] = {"info", ""},
    [LOG_DEBUG] = {"debug", "\033[2m"},
};

void log_setup(enum log_level most, const char *file)
{
    int fd = STDERR_FILENO, error = 0;
    if (file && *file) {
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        error = errno;
    }
    pthread_mutex_lock(&logger.lock);
    if (logger.fd != STDERR_FILENO)
        close(logger.fd);
    logger.fd = fd < 0 ? STDERR_FILENO : fd;
    logger.most = most;
    logger.colour = logger.fd == STDERR_FILENO && isatty(STDERR_FILENO);
    pthread_mutex_unlock(&logger.lock);
    if (fd < 0)
        log_error("log", "cannot write to %s (%s): logging here instead", file, strerror(error));
}

void log_live(bool on)
{
    pthread_mutex_lock(&logger.lock);
    logger.live = on;
    pthread_mutex_unlock(&logger.lock);
}

/* Names and messages come from peers too: nothing that moves a terminal's cursor, and one line stays one line. */
static void defuse(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?'; /* C1 controls in UTF-8; some terminals obey them */
    }
}

void log_write(enum log_level level, const char *area, const char *format, ...)
{
    char line[LINE_MAX_SIZE], text[LINE_MAX_SIZE - 100], stamp[32];
    struct tm tm;
    time_t now = time(NULL);
    va_list args;
    int saved = errno;

    pthread_mutex_lock(&logger.lock);
    bool wanted = level <= logger.most;
    pthread_mutex_unlock(&logger.lock);
    if (!wanted)
        return;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    defuse(text);
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);

    pthread_mutex_lock(&logger.lock);
    const char *on = logger.colour ? levels[level].colour : "";
    const char *wipe = logger.live && logger.fd == STDERR_FILENO ? "\r\033[K" : "";
    int size = snprintf(line, sizeof line, "%s%s%s %-6s %-6s %s%s\n", wipe, on, stamp, levels[level].name, area, text,
                        *on ? "\033[0m" : "");
    for (int done = 0; done < size;) {
        ssize_t n = write(logger.fd, line + done, (size_t)(size - done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* nowhere left to say so */
        done += (int)n;
    }
    pthread_mutex_unlock(&logger.lock);
    errno = saved;
}
