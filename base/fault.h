/* Named fault points for tests: SLUICE_FAULT="point[:n][:action]" makes the n-th pass of a point (default the first; that
 * pass only) fail with an errno (action "EIO", the default, "ENOSPC", …), stop the process as kill -9 would ("kill"), or
 * sleep ("sleep500" milliseconds). Compiled in when SLUICE_FAULTS is defined (dev, asan and tsan presets); otherwise
 * fault_point is the constant 0. Thread: any. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef SLUICE_FAULTS
/* 0, or a negative errno that the caller treats as the result of its next step. */
int fault_point(const char *name);
/* Replaces the environment's fault and counts passes anew; NULL or "" sets none. A spec that is no fault aborts. */
void fault_set_for_test(const char *spec);
#else
static inline int fault_point(const char *name)
{
    (void)name;
    return 0;
}
#endif

#endif
