/* The connections of one listener on one loop: counted, shed when others wait, drained, cut. */
#include "gateway/conn.h"

#include <stdlib.h>

#include "base/check.h"
#include "gateway/conn_internal.h"

static void on_shed(struct gw_message *m)
{
    struct gw_conns *s = container_of(m, struct gw_conns, shed);
    atomic_store(&s->shed_asked, false);
    (void)gw_conns_shed(s); /* who asked asks again, if it was not enough */
}

struct gw_conns *gw_conns_new(struct gw_loop *l, const struct gw_conn_options *options)
{
    struct gw_conns *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    s->loop = l;
    s->options = options;
    s->shed.run = on_shed;
    list_init(&s->all);
    list_init(&s->idle);
    return s;
}

void gw_conns_free(struct gw_conns *s)
{
    if (!s)
        return;
    CHECK(list_empty(&s->all));
    free(s);
}

bool gw_conns_shed(struct gw_conns *s)
{
    if (list_empty(&s->idle))
        return false;
    gw_conn_destroy(list_entry(s->idle.next, struct gw_conn, idle_link));
    return true;
}

void gw_conns_ask_shed(struct gw_conns *s)
{
    if (!atomic_exchange(&s->shed_asked, true))
        gw_post(s->loop, &s->shed);
}

void gw_conns_drain(struct gw_conns *s)
{
    CHECK(gw_loop_is_current(s->loop));
    s->draining = true;
    while (gw_conns_shed(s))
        continue;
}

void gw_conns_cut(struct gw_conns *s)
{
    CHECK(gw_loop_is_current(s->loop));
    s->draining = true;
    while (!list_empty(&s->all))
        gw_conn_destroy(list_entry(s->all.next, struct gw_conn, link));
}
