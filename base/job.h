/* A long piece of work as those outside see it: what it is at, how far it has come, what it has found, and whether it is still
 * wanted. Who does the work adds, who shows it reads; numbers are exact, but one may be seen before another that was added
 * first. NULL is a job that nobody watches. Thread: any. */
#ifndef BASE_JOB_H
#define BASE_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_TALLIES_MAX 8

enum job_unit { JOB_COUNT, JOB_BYTES };

/* What is counted over the whole job beside the way it has come: "lost", "skipped". */
struct job_tally {
    const char *name;
    enum job_unit unit;
};

struct job {
    const struct job_tally *tallies; /* set when made, with static texts */
    size_t tally_count;
    _Atomic(const char *) phase; /* NULL: not begun */
    atomic_int unit;             /* of done and total */
    atomic_uint_least64_t done;  /* of this phase */
    atomic_uint_least64_t total; /* 0: not known */
    atomic_uint_least64_t tally_values[JOB_TALLIES_MAX];
    atomic_bool stop;
};

/* tallies: static, at most JOB_TALLIES_MAX. */
void job_init(struct job *j, const struct job_tally *tallies, size_t count);
/* The next part of the work. phase: static text, as in "checking blocks"; total: 0 when not known. */
void job_phase(struct job *j, const char *phase, enum job_unit unit, uint64_t total);
void job_total(struct job *j, uint64_t total);
void job_add(struct job *j, uint64_t done);
/* index: into the tallies of job_init. */
void job_tally(struct job *j, size_t index, uint64_t add);
uint64_t job_tallied(const struct job *j, size_t index);
/* Asks the work to end early, in good order. What does the work looks often enough that nobody waits for seconds. */
void job_stop(struct job *j);
bool job_stopped(const struct job *j);

#endif
