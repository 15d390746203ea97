#include "gateway/loop.h"

#define H2O_USE_LIBUV 0
#include <h2o/multithread.h>
#include <h2o/socket.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"

#define TIMER_CLASSES 16
/* The loop comes around at least this often, so that its silence means something. */
#define WAIT_MAX_MS 1000

_Static_assert(sizeof(h2o_multithread_message_t) == sizeof(((struct gw_message *)0)->link), "a message's link is h2o's");

/* Timers of one delay, in the order they were started, which is the order they are due. */
struct timer_class {
    uint64_t delay_ms;
    struct list timers;
};

struct gw_loop {
    unsigned index;
    h2o_evloop_t *backend;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver;
    pthread_t thread;
    bool stopping;
    struct gw_message stop_message;

    struct mutex lock;
    struct cond change;
    bool running; /* guarded by lock */

    struct timer_class classes[TIMER_CLASSES];
    size_t class_count;
    _Atomic uint64_t beat_ms;

    struct gw_timer lag_timer;
    struct metric *lag;

    int64_t date_s;
    char date[CLOCK_TEXT_MAX];
    struct str date_text;
};

static _Thread_local struct gw_loop *current;

/* Messages */

static void on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        struct gw_message *m = container_of(messages->next, struct gw_message, link);
        h2o_linklist_unlink(messages->next);
        m->run(m);
    }
}

void gw_post(struct gw_loop *l, struct gw_message *m)
{
    CHECK(m->run != NULL);
    memset(m->link, 0, sizeof(m->link));
    h2o_multithread_send_message(&l->receiver, (h2o_multithread_message_t *)(void *)m->link);
}

/* Timers */

static struct timer_class *class_of(struct gw_loop *l, uint64_t delay_ms)
{
    for (size_t i = 0; i < l->class_count; i++) {
        if (l->classes[i].delay_ms == delay_ms)
            return &l->classes[i];
    }
    CHECK(l->class_count < TIMER_CLASSES);
    struct timer_class *c = &l->classes[l->class_count++];
    c->delay_ms = delay_ms;
    list_init(&c->timers);
    return c;
}

void gw_timer_start(struct gw_loop *l, struct gw_timer *t, uint64_t delay_ms)
{
    CHECK(gw_loop_is_current(l));
    CHECK(t->fn != NULL);
    gw_timer_stop(t);
    t->due_ms = clock_mono_ms() + delay_ms;
    list_push_back(&class_of(l, delay_ms)->timers, &t->link);
}

void gw_timer_stop(struct gw_timer *t)
{
    if (!t->link.next)
        list_init(&t->link);
    list_remove(&t->link);
}

static void run_timers(struct gw_loop *l)
{
    uint64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < l->class_count; i++) {
        struct list *timers = &l->classes[i].timers;
        /* A timer that starts itself anew with delay 0 is for the next round. */
        struct list due;
        list_init(&due);
        while (!list_empty(timers)) {
            struct gw_timer *t = list_entry(timers->next, struct gw_timer, link);
            if (t->due_ms > now_ms)
                break;
            list_remove(&t->link);
            list_push_back(&due, &t->link);
        }
        for (struct list *link; (link = list_pop_front(&due)) != NULL;) {
            struct gw_timer *t = list_entry(link, struct gw_timer, link);
            t->fn(t);
        }
    }
}

static int32_t wait_ms(const struct gw_loop *l)
{
    uint64_t now_ms = clock_mono_ms(), wait = WAIT_MAX_MS;
    for (size_t i = 0; i < l->class_count; i++) {
        const struct list *timers = &l->classes[i].timers;
        if (list_empty(timers))
            continue;
        uint64_t due_ms = list_entry(timers->next, struct gw_timer, link)->due_ms;
        uint64_t left = due_ms > now_ms ? due_ms - now_ms : 0;
        if (left < wait)
            wait = left;
    }
    return (int32_t)wait;
}

/* How late a timer of a second comes is how long the loop was held by something. */
static void on_lag_timer(struct gw_timer *t)
{
    struct gw_loop *l = container_of(t, struct gw_loop, lag_timer);
    uint64_t now_ms = clock_mono_ms();
    metric_observe_ns(l->lag, (now_ms - t->due_ms) * 1000000);
    gw_timer_start(l, t, WAIT_MAX_MS);
}

/* The thread */

/* libh2o keeps buffers in thread-local lists that it does not lock: all of it is made and destroyed on the thread that uses
 * it. */
static void open_backend(struct gw_loop *l)
{
    l->backend = h2o_evloop_create();
    l->queue = h2o_multithread_create_queue(l->backend);
    h2o_multithread_register_receiver(l->queue, &l->receiver, on_messages);
}

static void close_backend(struct gw_loop *l)
{
    h2o_multithread_unregister_receiver(l->queue, &l->receiver);
    h2o_multithread_destroy_queue(l->queue);
    free(l->queue); /* libh2o 2.2.5 forgets it with an epoll loop */
    h2o_evloop_destroy(l->backend);
    h2o_mem_recycle_t *kept = &h2o_socket_buffer_prototype.allocator;
    while (kept->cnt > 0)
        free(h2o_mem_alloc_recycle(kept, 1)); /* the size is that of the kept one */
}

static void set_running(struct gw_loop *l)
{
    mutex_lock(&l->lock);
    l->running = true;
    cond_signal(&l->change);
    mutex_unlock(&l->lock);
}

static void *loop_main(void *arg)
{
    struct gw_loop *l = arg;
    current = l;
    open_backend(l);
    gw_timer_start(l, &l->lag_timer, WAIT_MAX_MS);
    set_running(l);
    while (!l->stopping) {
        atomic_store_explicit(&l->beat_ms, clock_mono_ms(), memory_order_relaxed);
        /* EINTR is the only failure of epoll_wait that can happen; the next round tries again. */
        (void)h2o_evloop_run(l->backend, wait_ms(l));
        run_timers(l);
    }
    gw_timer_stop(&l->lag_timer);
    /* Who posted the end may still be in libh2o, which wakes the loop with the queue's descriptor after its message is in. */
    mutex_lock(&l->lock);
    mutex_unlock(&l->lock);
    close_backend(l);
    current = NULL;
    return NULL;
}

struct gw_loop *gw_loop_start(unsigned index)
{
    struct gw_loop *l = calloc(1, sizeof(*l));
    CHECK(l != NULL); /* out of memory */
    l->index = index;
    l->lag_timer.fn = on_lag_timer;
    l->lag = metric_get(METRIC_HISTOGRAM, "sluice_loop_lag_seconds", "", "Lateness of a timer of each event loop.");
    atomic_store_explicit(&l->beat_ms, clock_mono_ms(), memory_order_relaxed);
    mutex_init(&l->lock);
    cond_init(&l->change);
    char name[16];
    (void)snprintf(name, sizeof(name), "loop-%u", index % 1000);
    thread_start(&l->thread, name, loop_main, l);
    mutex_lock(&l->lock);
    while (!l->running)
        cond_wait(&l->change, &l->lock);
    mutex_unlock(&l->lock);
    return l;
}

static void on_stop(struct gw_message *m)
{
    container_of(m, struct gw_loop, stop_message)->stopping = true;
}

void gw_loop_stop(struct gw_loop *l)
{
    if (!l)
        return;
    l->stop_message.run = on_stop;
    mutex_lock(&l->lock);
    gw_post(l, &l->stop_message);
    mutex_unlock(&l->lock);
    CHECK(pthread_join(l->thread, NULL) == 0);
    cond_done(&l->change);
    mutex_done(&l->lock);
    free(l);
}

bool gw_loop_is_current(const struct gw_loop *l)
{
    return current == l;
}

unsigned gw_loop_index(const struct gw_loop *l)
{
    return l->index;
}

uint64_t gw_loop_silence_ms(const struct gw_loop *l)
{
    uint64_t beat_ms = atomic_load_explicit(&l->beat_ms, memory_order_relaxed), now_ms = clock_mono_ms();
    return now_ms > beat_ms ? now_ms - beat_ms : 0;
}

struct str gw_loop_date(struct gw_loop *l)
{
    CHECK(gw_loop_is_current(l));
    int64_t now_s = clock_wall_s();
    if (now_s != l->date_s || l->date_text.len == 0) {
        l->date_s = now_s;
        l->date_text = clock_format_http(now_s, l->date);
    }
    return l->date_text;
}

struct st_h2o_evloop_t *gw_loop_backend(const struct gw_loop *l)
{
    return l->backend;
}
