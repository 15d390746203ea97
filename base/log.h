/* The process log: one line an event, `time level event key=value …` or the same as JSON, to stderr or a file that can be
 * reopened. Never give it secrets, signatures or bodies. Folders below gateway log at debug level only; who decides,
 * logs. Thread: any; lines are written whole. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/compiler.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* path NULL: stderr. -errno when the file cannot be opened. Call before threads start. */
MUST_USE int log_open(const char *path, enum log_level level, bool json);
/* Opens the path again (after log rotation). */
void log_reopen(void);
bool log_enabled(enum log_level level);
/* fields: printf text of blank-separated key=value pairs, NULL for none; put values that may hold blanks between double
 * quotes. Control bytes are escaped; more than 4 KiB are cut. Leaves errno as it was. */
void log_event(enum log_level level, const char *event, const char *fields, ...) PRINTF(3, 4);
#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) \
    (log_enabled(LOG_DEBUG) ? log_event(LOG_DEBUG, event, __VA_ARGS__) : (void)0)

#endif
