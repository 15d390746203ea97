/* Named fault points for tests: SLUICE_FAULT="point[:after][:action]" makes the n-th pass of a point fail with an errno
 * (action "EIO", "ENOSPC", …), stop the process as kill -9 would ("kill"), or sleep ("sleep500" milliseconds). Compiled
 * in when SLUICE_FAULTS is defined (dev, asan and tsan presets); otherwise fault_point is the constant 0. Thread: any. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef SLUICE_FAULTS
/* 0, or a negative errno that the caller treats as the result of its next step. */
int fault_point(const char *name);
#else
static inline int fault_point(const char *name)
{
    (void)name;
    return 0;
}
#endif

#endif
