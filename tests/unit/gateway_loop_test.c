#include "gateway/loop.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "tests/support/unit.h"

/* Runs a function on a loop and waits for it. */
struct call {
    struct gw_message message;
    void (*fn)(void *data);
    void *data;
    struct mutex lock;
    struct cond wake;
    bool done;
};

static void on_call(struct gw_message *m)
{
    struct call *c = container_of(m, struct call, message);
    c->fn(c->data);
    mutex_lock(&c->lock);
    c->done = true;
    cond_signal(&c->wake);
    mutex_unlock(&c->lock);
}

static void call(struct gw_loop *l, void (*fn)(void *data), void *data)
{
    struct call c = {.message.run = on_call, .fn = fn, .data = data};
    mutex_init(&c.lock);
    cond_init(&c.wake);
    gw_post(l, &c.message);
    mutex_lock(&c.lock);
    while (!c.done)
        cond_wait(&c.wake, &c.lock);
    mutex_unlock(&c.lock);
    cond_done(&c.wake);
    mutex_done(&c.lock);
}

#define SENDERS 4
#define MESSAGES 5000

struct counted {
    struct gw_message message;
    struct sender *sender;
    int index;
};

struct sender {
    pthread_t thread;
    struct gw_loop *loop;
    int next; /* the loop's */
    bool in_order;
    struct counted messages[MESSAGES];
};

static void on_counted(struct gw_message *m)
{
    struct counted *c = container_of(m, struct counted, message);
    c->sender->in_order = c->sender->in_order && c->index == c->sender->next && gw_loop_is_current(c->sender->loop);
    c->sender->next++;
}

static void *sender_main(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < MESSAGES; i++) {
        s->messages[i] = (struct counted){.message.run = on_counted, .sender = s, .index = i};
        gw_post(s->loop, &s->messages[i].message);
    }
    return NULL;
}

static void messages_come_all_and_in_order(void **state)
{
    (void)state;
    static struct sender senders[SENDERS];
    struct gw_loop *l = gw_loop_start(3);
    assert_int_equal(gw_loop_index(l), 3);
    assert_false(gw_loop_is_current(l));
    for (int i = 0; i < SENDERS; i++) {
        senders[i].loop = l;
        senders[i].in_order = true;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
    gw_loop_stop(l); /* after what was posted */
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(senders[i].next, MESSAGES);
        assert_true(senders[i].in_order);
    }
}

struct timed {
    struct gw_timer timer;
    struct timers *all;
    uint64_t delay_ms, started_ms, fired_ms;
    int fired, restarts;
};

struct timers {
    struct gw_loop *loop;
    struct timed timers[6];
    atomic_int fired;
};

static void on_timed(struct gw_timer *t)
{
    struct timed *timed = container_of(t, struct timed, timer);
    timed->fired++;
    timed->fired_ms = clock_mono_ms();
    if (timed->restarts-- > 0)
        gw_timer_start(timed->all->loop, t, timed->delay_ms);
    atomic_fetch_add(&timed->all->fired, 1);
}

static void start_timers(void *data)
{
    struct timers *all = data;
    static const uint64_t delays_ms[] = {0, 30, 30, 60, 60, 0};
    for (size_t i = 0; i < ARRAY_SIZE(delays_ms); i++) {
        struct timed *t = &all->timers[i];
        t->all = all;
        t->delay_ms = delays_ms[i];
        t->started_ms = clock_mono_ms();
        t->timer.fn = on_timed;
        gw_timer_start(all->loop, &t->timer, t->delay_ms);
    }
    all->timers[2].restarts = 2;
    all->timers[5].restarts = 3;
    gw_timer_stop(&all->timers[3].timer);
    gw_timer_stop(&all->timers[3].timer); /* harmless */
    gw_timer_start(all->loop, &all->timers[4].timer, 60); /* anew: once, not twice */
}

static void timers_fire_once_and_not_early(void **state)
{
    (void)state;
    struct timers all = {.loop = gw_loop_start(0)};
    call(all.loop, start_timers, &all);
    for (int i = 0; i < 5000 && atomic_load(&all.fired) < 10; i++) {
        struct timespec ms = {0, 1000000};
        nanosleep(&ms, NULL);
    }
    gw_loop_stop(all.loop);
    static const int fired[] = {1, 1, 3, 0, 1, 4};
    for (size_t i = 0; i < ARRAY_SIZE(fired); i++) {
        const struct timed *t = &all.timers[i];
        assert_int_equal(t->fired, fired[i]);
        if (t->fired > 0)
            assert_true(t->fired_ms >= t->started_ms + t->delay_ms * (uint64_t)t->fired);
    }
}

static void read_date(void *data)
{
    struct call_date {
        struct gw_loop *loop;
        char text[CLOCK_TEXT_MAX];
    } *d = data;
    struct str date = gw_loop_date(d->loop);
    memcpy(d->text, date.ptr, date.len);
}

static void loops_know_the_date_and_turn(void **state)
{
    (void)state;
    struct {
        struct gw_loop *loop;
        char text[CLOCK_TEXT_MAX];
    } d = {.loop = gw_loop_start(0)};
    clock_set_wall_for_test(784111777000000000);
    call(d.loop, read_date, &d);
    assert_string_equal(d.text, "Sun, 06 Nov 1994 08:49:37 GMT");
    clock_set_wall_for_test(784111778000000000);
    call(d.loop, read_date, &d);
    assert_string_equal(d.text, "Sun, 06 Nov 1994 08:49:38 GMT");
    clock_set_wall_for_test(0);
    struct timespec pause = {1, 200000000};
    nanosleep(&pause, NULL);
    assert_true(gw_loop_silence_ms(d.loop) < 1500);
    gw_loop_stop(d.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_all_and_in_order),
        cmocka_unit_test(timers_fire_once_and_not_early),
        cmocka_unit_test(loops_know_the_date_and_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
