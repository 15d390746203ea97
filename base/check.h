/* Assertions for programmer errors. They stay in release builds: a gateway that goes on with a broken
 * invariant can lose data, one that stops is restarted by its supervisor. Never for bad input.
 * Thread: any. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/compiler.h"

/* Writes file, line and the condition to stderr, then aborts. */
NORETURN void check_failed(const char *file, int line, const char *condition);

#define CHECK(condition) \
    ((__builtin_expect(!!(condition), 1)) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

/* As CHECK, in debug builds only: for loops that run per byte. */
#ifdef NDEBUG
#define DCHECK(condition) ((void)sizeof(condition))
#else
#define DCHECK(condition) CHECK(condition)
#endif

#endif
