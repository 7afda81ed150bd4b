/* Logs people can read: time, level, area, sentence. Thread-safe. To standard error, or to the file of `[log] file`. */
#ifndef SHOAL_HOST_LOG_H
#define SHOAL_HOST_LOG_H
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
void log_setup(enum log_level most, const char *file); /* file NULL: standard error */
/* A line without an end stands at the bottom of standard error: log lines wipe it away first. */
void log_live(bool on);
void log_write(enum log_level level, const char *area, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define log_error(area, ...)   log_write(LOG_ERROR, area, __VA_ARGS__)
#define log_warning(area, ...) log_write(LOG_WARNING, area, __VA_ARGS__)
#define log_info(area, ...)    log_write(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)   log_write(LOG_DEBUG, area, __VA_ARGS__)
#endif
