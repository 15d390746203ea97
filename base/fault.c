#include "base/fault.h"

#ifdef SLUICE_FAULTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mutex.h"
#include "base/str.h"

#define POINT_BYTES_MAX 64
#define ERRNO_MAX 134

enum action { ACTION_FAIL, ACTION_KILL, ACTION_SLEEP };

struct fault {
    char point[POINT_BYTES_MAX]; /* empty: no fault is set */
    uint64_t pass;               /* the pass that meets the fault, from 1 */
    enum action action;
    int error; /* positive errno */
    uint64_t sleep_ms;
};

static struct {
    pthread_once_t once;
    struct mutex lock; /* guards what follows */
    struct fault fault;
    uint64_t passes;
} state = {.once = PTHREAD_ONCE_INIT, .lock = MUTEX_INIT};

static int errno_of_name(struct str name)
{
    for (int number = 1; number < ERRNO_MAX; number++) {
        const char *known = strerrorname_np(number);
        if (known && str_is(name, known))
            return number;
    }
    return 0;
}

static bool parse_action(struct str s, struct fault *f)
{
    f->action = ACTION_KILL;
    if (str_is(s, "kill"))
        return true;
    f->action = ACTION_SLEEP;
    if (str_starts(s, STR("sleep")))
        return str_parse_u64_max(str_from(s, 5), 3600 * 1000, &f->sleep_ms);
    f->action = ACTION_FAIL;
    f->error = errno_of_name(s);
    return f->error != 0;
}

static bool parse_spec(struct str spec, struct fault *f)
{
    struct str token;
    *f = (struct fault){.pass = 1, .action = ACTION_FAIL, .error = EIO};
    if (!str_split(&spec, ':', &token) || token.len == 0)
        return true;
    if (token.len >= sizeof(f->point))
        return false;
    memcpy(f->point, token.ptr, token.len);
    if (!str_split(&spec, ':', &token))
        return true;
    if (str_parse_u64(token, &f->pass)) {
        if (!str_split(&spec, ':', &token))
            return f->pass > 0;
    }
    return f->pass > 0 && parse_action(token, f) && !spec.ptr;
}

/* A misspelt fault would make its test pass without testing anything: it stops the process instead. */
static void set_fault(const char *spec)
{
    struct fault parsed;
    if (!parse_spec(str_z(spec), &parsed))
        check_failed("SLUICE_FAULT", 0, spec);
    mutex_lock(&state.lock);
    state.fault = parsed;
    state.passes = 0;
    mutex_unlock(&state.lock);
}

static void read_environment(void)
{
    set_fault(getenv("SLUICE_FAULT"));
}

void fault_set_for_test(const char *spec)
{
    CHECK(pthread_once(&state.once, read_environment) == 0);
    set_fault(spec);
}

static void sleep_for_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

static int act(const struct fault *f)
{
    switch (f->action) {
    case ACTION_FAIL:
        return -f->error;
    case ACTION_KILL:
        CHECK(kill(getpid(), SIGKILL) == 0);
        pause();
        return 0;
    case ACTION_SLEEP:
        sleep_for_ms(f->sleep_ms);
        return 0;
    }
    return 0;
}

int fault_point(const char *name)
{
    CHECK(pthread_once(&state.once, read_environment) == 0);
    mutex_lock(&state.lock);
    struct fault fault = state.fault;
    bool hit = str_is(str_z(name), fault.point) && ++state.passes == fault.pass;
    mutex_unlock(&state.lock);
    return hit ? act(&fault) : 0;
}

#endif
