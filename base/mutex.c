#include "base/mutex.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

/* Our deepest stacks are TLS handshakes and SQL statements; glibc's 8 MiB for each of many workers is address space
 * only, yet counts against containers' limits. */
#define THREAD_STACK_BYTES (1024 * 1024)

/* Mutex. Error checking: relocking and unlocking by a stranger abort instead of hanging or corrupting. */

void mutex_init(struct mutex *m)
{
    pthread_mutexattr_t attr;
    CHECK(pthread_mutexattr_init(&attr) == 0);
    CHECK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK) == 0);
    CHECK(pthread_mutex_init(&m->os, &attr) == 0);
    CHECK(pthread_mutexattr_destroy(&attr) == 0);
}

void mutex_done(struct mutex *m)
{
    CHECK(pthread_mutex_destroy(&m->os) == 0);
}

void mutex_lock(struct mutex *m)
{
    CHECK(pthread_mutex_lock(&m->os) == 0);
}

void mutex_unlock(struct mutex *m)
{
    CHECK(pthread_mutex_unlock(&m->os) == 0);
}

/* Condition */

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&c->os, &attr) == 0);
    CHECK(pthread_condattr_destroy(&attr) == 0);
}

void cond_done(struct cond *c)
{
    CHECK(pthread_cond_destroy(&c->os) == 0);
}

void cond_wait(struct cond *c, struct mutex *m)
{
    CHECK(pthread_cond_wait(&c->os, &m->os) == 0);
}

bool cond_wait_ms(struct cond *c, struct mutex *m, uint64_t timeout_ms)
{
    struct timespec until;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    /* A century is forever and keeps time_t from overflowing. */
    uint64_t timeout_s = timeout_ms / 1000;
    until.tv_sec += (time_t)(timeout_s < 3155760000u ? timeout_s : 3155760000u);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int result = pthread_cond_timedwait(&c->os, &m->os, &until);
    CHECK(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void cond_signal(struct cond *c)
{
    CHECK(pthread_cond_signal(&c->os) == 0);
}

void cond_broadcast(struct cond *c)
{
    CHECK(pthread_cond_broadcast(&c->os) == 0);
}

/* Threads */

struct thread_start {
    char name[16];
    void *(*fn)(void *);
    void *arg;
};

/* The thread names itself: the starter's handle may be stale by then when the thread detaches and ends at once. */
static void *thread_main(void *data)
{
    struct thread_start start = *(struct thread_start *)data;
    free(data);
    CHECK(pthread_setname_np(pthread_self(), start.name) == 0);
    return start.fn(start.arg);
}

size_t thread_number(void)
{
    static atomic_size_t threads_seen;
    static _Thread_local size_t number_plus_one;
    if (number_plus_one == 0)
        number_plus_one = atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed) + 1;
    return number_plus_one - 1;
}

void thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg)
{
    struct thread_start *start = calloc(1, sizeof(*start));
    CHECK(start != NULL); /* out of memory */
    CHECK(strlen(name) < sizeof(start->name));
    memcpy(start->name, name, strlen(name));
    start->fn = fn;
    start->arg = arg;

    pthread_attr_t attr;
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES) == 0);
    CHECK(pthread_create(out, &attr, thread_main, start) == 0);
    CHECK(pthread_attr_destroy(&attr) == 0);
}
