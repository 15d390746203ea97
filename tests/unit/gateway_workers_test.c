#include "gateway/workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mutex.h"
#include "gateway/chunks.h"
#include "gateway/loop.h"
#include "tests/support/unit.h"

struct counted_job {
    struct gw_job job;
    bool blocks;
    int order;
};

static atomic_int ran, blocked;
static atomic_bool released;

static void run_job(struct gw_job *j, uint64_t waited_ns)
{
    struct counted_job *c = container_of(j, struct counted_job, job);
    (void)waited_ns;
    assert_true(gw_worker_is_current());
    if (c->blocks) {
        atomic_fetch_add(&blocked, 1);
        while (!atomic_load(&released))
            usleep(1000);
    }
    c->order = atomic_fetch_add(&ran, 1);
}

static void wait_for(atomic_int *value, int least)
{
    for (int i = 0; i < 5000 && atomic_load(value) < least; i++)
        usleep(1000);
    assert_int_equal(atomic_load(value), least);
}

static void jobs_run_in_order(void **state)
{
    (void)state;
    static struct counted_job jobs[1000];
    struct gw_workers *w = gw_workers_start(1, 10, 1);
    atomic_store(&ran, 0);
    assert_false(gw_worker_is_current());
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i].job.run = run_job;
        gw_workers_submit(w, &jobs[i].job);
    }
    gw_workers_stop(w); /* runs what is queued */
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        assert_int_equal(jobs[i].order, i);
}

/* Workers that hang in a disk are held; as long as one is left, jobs go on. Then the queue fills and says so. */
static void hanging_jobs_hold_their_worker_only(void **state)
{
    (void)state;
    struct counted_job hanging[7], quick[100], last, more[4];
    struct gw_workers *w = gw_workers_start(8, 4, 2);
    atomic_store(&ran, 0);
    atomic_store(&blocked, 0);
    atomic_store(&released, false);
    for (size_t i = 0; i < ARRAY_SIZE(hanging); i++) {
        hanging[i] = (struct counted_job){.job.run = run_job, .blocks = true};
        gw_workers_submit(w, &hanging[i].job);
    }
    wait_for(&blocked, 7);
    for (size_t i = 0; i < ARRAY_SIZE(quick); i++) {
        quick[i] = (struct counted_job){.job.run = run_job};
        gw_workers_submit(w, &quick[i].job);
    }
    wait_for(&ran, 100);
    assert_false(gw_workers_busy(w));
    last = (struct counted_job){.job.run = run_job, .blocks = true};
    gw_workers_submit(w, &last.job);
    wait_for(&blocked, 8);
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        assert_false(gw_workers_busy(w));
        more[i] = (struct counted_job){.job.run = run_job};
        gw_workers_submit(w, &more[i].job);
    }
    assert_true(gw_workers_busy(w));
    atomic_store(&released, true);
    wait_for(&ran, 100 + 8 + 4);
    gw_workers_stop(w);
}

/* Two calls at once */

struct both_job {
    struct gw_job job;
    pthread_t me, who; /* who made the other call */
    bool mine_is_done;
    int rounds, calls;
    bool stop_when_apart; /* once the two calls were made by two threads */
};

static void my_call(void *arg)
{
    struct both_job *b = arg;
    if (b->stop_when_apart)
        usleep(1000); /* time for the other one to begin */
    b->mine_is_done = true;
}

static void other_call(void *arg)
{
    struct both_job *b = arg;
    assert_true(gw_worker_is_current());
    b->who = pthread_self();
    b->calls++;
}

static void run_both(struct gw_job *j, uint64_t waited_ns)
{
    struct both_job *b = container_of(j, struct both_job, job);
    (void)waited_ns;
    b->me = pthread_self();
    for (bool apart = false; b->rounds > 0 && !(b->stop_when_apart && apart); b->rounds--) {
        int before = b->calls;
        b->mine_is_done = false;
        gw_workers_both(my_call, other_call, b);
        assert_true(b->mine_is_done);
        assert_int_equal(b->calls, before + 1);
        apart = !pthread_equal(b->me, b->who);
    }
    atomic_fetch_add(&ran, 1);
}

static void both_uses_a_worker_that_is_idle(void **state)
{
    (void)state;
    struct gw_workers *w = gw_workers_start(2, 10, 2);
    struct both_job b = {.job.run = run_both, .rounds = 5000, .stop_when_apart = true};
    atomic_store(&ran, 0);
    gw_workers_submit(w, &b.job);
    wait_for(&ran, 1);
    gw_workers_stop(w);
    assert_false(pthread_equal(b.me, b.who));
}

/* One core, and as many workers as one likes: in turn. */
static void both_is_in_turn_when_no_core_is_left(void **state)
{
    (void)state;
    struct gw_workers *w = gw_workers_start(4, 10, 1);
    struct both_job b = {.job.run = run_both, .rounds = 100, .stop_when_apart = true};
    gw_workers_submit(w, &b.job);
    gw_workers_stop(w);
    assert_int_equal(b.calls, 100);
    assert_true(pthread_equal(b.me, b.who));
}

static void both_by_all_workers_at_once_ends(void **state)
{
    (void)state;
    struct both_job jobs[16];
    struct gw_workers *w = gw_workers_start(4, 10, 8);
    atomic_store(&ran, 0);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i] = (struct both_job){.job.run = run_both, .rounds = 500};
        gw_workers_submit(w, &jobs[i].job);
    }
    wait_for(&ran, ARRAY_SIZE(jobs));
    gw_workers_stop(w);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
        assert_int_equal(jobs[i].calls, 500);
}

/* Chunks */

static struct gw_loop *loop;
static atomic_int delivered;

struct waiter {
    struct gw_chunk_waiter base;
    struct chunk *chunk;
    int order;
};

static void on_chunk(struct gw_chunk_waiter *base, struct chunk *c)
{
    struct waiter *w = container_of(base, struct waiter, base);
    assert_true(gw_loop_is_current(loop));
    w->chunk = c;
    w->order = atomic_load(&delivered);
    atomic_fetch_add(&delivered, 1);
}

static void returned_chunks_go_to_who_waits_longest(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    struct gw_chunks *p = gw_chunks_new(1); /* the least: 64 */
    struct chunk *held[COUNT];
    struct waiter waiters[3] = {0};
    loop = gw_loop_start(0);
    static const uint32_t shares[4] = {LIMIT_CHUNKS_IN, LIMIT_CHUNKS_IN / 2, LIMIT_CHUNKS_IN / 4, 1}; /* by quarters in use */
    for (int i = 0; i < COUNT; i++) {
        uint32_t share = shares[i * 4 / COUNT];
        assert_int_equal(gw_chunks_share(p, LIMIT_CHUNKS_IN), share);
        assert_int_equal(gw_chunks_share(p, 3), share < 3 ? share : 3);
        held[i] = gw_chunks_try(p);
        assert_non_null(held[i]);
    }
    assert_int_equal(gw_chunks_share(p, LIMIT_CHUNKS_IN), 1);
    assert_null(gw_chunks_try(p));
    for (size_t i = 0; i < ARRAY_SIZE(waiters); i++) {
        waiters[i].base.loop = loop;
        waiters[i].base.got = on_chunk;
        assert_null(gw_chunks_get(p, &waiters[i].base));
    }
    for (int i = 0; i < 3; i++) {
        held[i]->end = 77;
        gw_chunks_put(p, held[i]);
        wait_for(&delivered, i + 1);
        assert_int_equal(waiters[i].order, i);
        assert_ptr_equal(waiters[i].chunk, held[i]);
        assert_int_equal(waiters[i].chunk->end, 0);
        /* Nobody comes in between while others wait. */
        assert_null(gw_chunks_try(p));
    }
    for (int i = 0; i < COUNT; i++)
        gw_chunks_put(p, held[i]);
    gw_loop_stop(loop);
    gw_chunks_free(p);
}

/* Threads that put and get with less chunks than threads, so that most have to wait: nobody waits for what lies idle. */
enum { TAKERS = 6, TURNS = 3000, CHUNKS_LEFT = 2 };

static struct gw_chunks *few;
static atomic_int at_once, most_at_once;

struct taker {
    struct gw_chunk_waiter base;
    _Atomic(struct chunk *) chunk;
};

static void on_taken(struct gw_chunk_waiter *base, struct chunk *c)
{
    atomic_store(&container_of(base, struct taker, base)->chunk, c);
}

static void *take_turns(void *arg)
{
    for (int i = 0; i < TURNS; i++) {
        struct taker t = {.base = {.loop = loop, .got = on_taken}};
        struct chunk *c = gw_chunks_get(few, &t.base);
        while (!c) {
            c = atomic_load(&t.chunk);
            sched_yield();
        }
        int now = atomic_fetch_add(&at_once, 1) + 1;
        if (now > atomic_load(&most_at_once))
            atomic_store(&most_at_once, now);
        sched_yield();
        atomic_fetch_sub(&at_once, 1);
        gw_chunks_put(few, c);
    }
    return arg;
}

static void nobody_waits_for_a_chunk_that_another_thread_keeps(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    pthread_t threads[TAKERS];
    struct chunk *held[COUNT];
    few = gw_chunks_new(1);
    loop = gw_loop_start(0);
    for (int i = 0; i < COUNT; i++)
        assert_non_null(held[i] = gw_chunks_try(few));
    for (int i = 0; i < CHUNKS_LEFT; i++)
        gw_chunks_put(few, held[i]);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    assert_in_range(atomic_load(&most_at_once), 1, CHUNKS_LEFT);
    for (int i = CHUNKS_LEFT; i < COUNT; i++)
        gw_chunks_put(few, held[i]);
    for (int i = 0; i < COUNT; i++)
        assert_non_null(held[i] = gw_chunks_try(few)); /* whoever kept them */
    assert_null(gw_chunks_try(few));
    for (int i = 0; i < COUNT; i++)
        gw_chunks_put(few, held[i]);
    gw_loop_stop(loop);
    gw_chunks_free(few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order),
        cmocka_unit_test(hanging_jobs_hold_their_worker_only),
        cmocka_unit_test(both_uses_a_worker_that_is_idle),
        cmocka_unit_test(both_is_in_turn_when_no_core_is_left),
        cmocka_unit_test(both_by_all_workers_at_once_ends),
        cmocka_unit_test(returned_chunks_go_to_who_waits_longest),
        cmocka_unit_test(nobody_waits_for_a_chunk_that_another_thread_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
