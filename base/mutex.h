/* Locks that abort on misuse instead of returning codes nobody reads. Thread: any. */
#ifndef BASE_MUTEX_H
#define BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mutex {
    pthread_mutex_t os;
};
#define MUTEX_INIT {PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP}

void mutex_init(struct mutex *m);
void mutex_done(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

struct cond {
    pthread_cond_t os; /* on the monotonic clock */
};
void cond_init(struct cond *c);
void cond_done(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
/* false when timeout_ms passed without a signal. */
bool cond_wait_ms(struct cond *c, struct mutex *m, uint64_t timeout_ms);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* A number of the calling thread's own, counted from 0 in the order of first calls: for what each thread, or each few, shall have one of. */
size_t thread_number(void);
/* Starts a thread with the project's stack size and a name of at most 15 bytes; aborts when the system refuses. */
void thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg);

#endif
