#include "base/job.h"

#include "base/check.h"

void job_init(struct job *j, const struct job_tally *tallies, size_t count)
{
    CHECK(count <= JOB_TALLIES_MAX);
    *j = (struct job){.tallies = tallies, .tally_count = count};
}

void job_phase(struct job *j, const char *phase, enum job_unit unit, uint64_t total)
{
    if (!j)
        return;
    atomic_store(&j->done, 0);
    atomic_store(&j->total, total);
    atomic_store(&j->unit, unit);
    atomic_store(&j->phase, phase);
}

void job_total(struct job *j, uint64_t total)
{
    if (j)
        atomic_store(&j->total, total);
}

void job_add(struct job *j, uint64_t done)
{
    if (j)
        atomic_fetch_add_explicit(&j->done, done, memory_order_relaxed);
}

void job_tally(struct job *j, size_t index, uint64_t add)
{
    if (!j)
        return;
    CHECK(index < j->tally_count);
    atomic_fetch_add_explicit(&j->tally_values[index], add, memory_order_relaxed);
}

uint64_t job_tallied(const struct job *j, size_t index)
{
    return j ? atomic_load(&j->tally_values[index]) : 0;
}

void job_stop(struct job *j)
{
    if (j)
        atomic_store(&j->stop, true);
}

bool job_stopped(const struct job *j)
{
    return j && atomic_load_explicit(&j->stop, memory_order_relaxed);
}
