#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *condition)
{
    /* dprintf and not stdio: the lock of stderr may be held by the thread that broke the invariant. */
    dprintf(STDERR_FILENO, "%s:%d: check failed: %s\n", file, line, condition);
    abort();
}
