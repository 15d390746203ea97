#include "tests/support/unit.h"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "base/chunk.h"
#include "base/mutex.h"
#include "tests/support/death.h"

#define COUNT 64

static void exhaustion_gives_null(void **state)
{
    (void)state;
    struct chunk_pool *p = chunk_pool_new(3);
    struct chunk *c[3];
    for (size_t i = 0; i < 3; i++) {
        c[i] = chunk_get(p);
        assert_non_null(c[i]);
        memset(c[i]->data, (int)i, CHUNK_SIZE);
        assert_int_equal(chunk_len(c[i]), 0);
        assert_int_equal(chunk_room(c[i]), CHUNK_SIZE);
    }
    assert_null(chunk_get(p));
    assert_int_equal(chunk_pool_in_use(p), 3);
    assert_int_equal(chunk_pool_max(p), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(c[i]->data[0], i);
        assert_int_equal(c[i]->data[CHUNK_SIZE - 1], i);
    }
    c[1]->end = 10;
    chunk_put(p, c[1]);
    struct chunk *again = chunk_get(p);
    assert_ptr_equal(again, c[1]); /* the last one returned is the warmest */
    assert_int_equal(chunk_len(again), 0);
    for (size_t i = 0; i < 3; i++)
        chunk_put(p, c[i]);
    assert_int_equal(chunk_pool_in_use(p), 0);
    chunk_pool_free(p);
    chunk_pool_free(NULL);
}

static size_t resident_chunks(struct chunk *const *chunks)
{
    size_t resident = 0;
    for (size_t i = 0; i < COUNT; i++) {
        unsigned char pages[CHUNK_SIZE / 4096];
        assert_int_equal(mincore(chunks[i]->data, CHUNK_SIZE, pages), 0);
        resident += pages[0] & 1;
    }
    return resident;
}

static void trickle(struct chunk_pool *p, int milliseconds)
{
    for (int i = 0; i < milliseconds / 10; i++) {
        struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
        nanosleep(&pause, NULL);
        chunk_put(p, chunk_get(p));
    }
}

static void idle_chunks_give_their_pages_back(void **state)
{
    (void)state;
    struct chunk_pool *p = chunk_pool_new(COUNT);
    struct chunk *c[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        c[i] = chunk_get(p);
        memset(c[i]->data, 1, CHUNK_SIZE);
    }
    for (size_t i = 0; i < COUNT; i++)
        chunk_put(p, c[i]);
    assert_int_equal(resident_chunks(c), COUNT);
    trickle(p, 2300); /* the burst's period and one more */
    assert_in_range(resident_chunks(c), 1, COUNT / 2);
    for (size_t i = 0; i < COUNT; i++)
        assert_non_null(c[i] = chunk_get(p)); /* cold ones are as good */
    assert_null(chunk_get(p));
    for (size_t i = 0; i < COUNT; i++)
        chunk_put(p, c[i]);
    chunk_pool_free(p);
}

static void *get_and_put(void *arg)
{
    struct chunk_pool *p = arg;
    for (int i = 0; i < 20000; i++) {
        struct chunk *c = chunk_get(p);
        if (!c)
            continue;
        c->data[0] = (char)i;
        chunk_put(p, c);
    }
    return NULL;
}

static void threads_share_a_pool(void **state)
{
    (void)state;
    struct chunk_pool *p = chunk_pool_new(2);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        thread_start(&threads[i], "test", get_and_put, p);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(chunk_pool_in_use(p), 0);
    chunk_pool_free(p);
}

static void put_twice(void *arg)
{
    struct chunk *c = chunk_get(arg);
    chunk_put(arg, c);
    chunk_put(arg, c);
}

static void put_queued(void *arg)
{
    struct list queue;
    list_init(&queue);
    struct chunk *c = chunk_get(arg);
    list_push_back(&queue, &c->link);
    chunk_put(arg, c);
}

static void put_foreign(void *arg)
{
    struct chunk mine = {.link = LIST_INIT(mine.link)};
    chunk_put(arg, &mine);
}

static void free_in_use(void *arg)
{
    if (chunk_get(arg))
        chunk_pool_free(arg);
}

static void misuse_aborts(void **state)
{
    (void)state;
    struct chunk_pool *p = chunk_pool_new(2);
    assert_true(dies_of(SIGABRT, put_twice, p));
    assert_true(dies_of(SIGABRT, put_queued, p));
    assert_true(dies_of(SIGABRT, put_foreign, p));
    assert_true(dies_of(SIGABRT, free_in_use, p));
    chunk_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhaustion_gives_null),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(idle_chunks_give_their_pages_back),
        cmocka_unit_test(threads_share_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
