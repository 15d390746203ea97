/* Which inodes this process has open, how often, and what their last close has to finish. */
#include <stdlib.h>

#include "base/check.h"
#include "vfs/meta/internal.h"

struct meta_opened {
    struct mutex lock;  /* leaf */
    struct map *counts; /* inode, as its bytes -> struct count */
};
struct count {
    uint64_t handles;
    enum meta_fate fate;
    uint64_t length;
};

static struct str key_of(const meta_ino *ino)
{
    return str_of((const char *)ino, sizeof(*ino));
}

struct meta_opened *meta_opened_new(void)
{
    struct meta_opened *o = calloc(1, sizeof(*o));
    CHECK(o != NULL); /* out of memory */
    mutex_init(&o->lock);
    o->counts = map_new();
    return o;
}

void meta_opened_free(struct meta_opened *o)
{
    map_free(o->counts, free);
    mutex_done(&o->lock);
    free(o);
}

void meta_opened_add(struct meta *m, meta_ino ino)
{
    struct meta_opened *o = m->opened;
    mutex_lock(&o->lock);
    struct count *c = map_get(o->counts, key_of(&ino));
    if (!c) {
        c = calloc(1, sizeof(*c));
        CHECK(c != NULL); /* out of memory */
        (void)map_set(o->counts, key_of(&ino), c);
    }
    c->handles++;
    mutex_unlock(&o->lock);
}

bool meta_is_open(struct meta *m, meta_ino ino)
{
    mutex_lock(&m->opened->lock);
    bool open = map_get(m->opened->counts, key_of(&ino)) != NULL;
    mutex_unlock(&m->opened->lock);
    return open;
}

bool meta_opened_set_fate(struct meta *m, meta_ino ino, enum meta_fate fate, uint64_t length)
{
    mutex_lock(&m->opened->lock);
    struct count *c = map_get(m->opened->counts, key_of(&ino));
    if (c) {
        c->fate = fate;
        c->length = length;
    }
    mutex_unlock(&m->opened->lock);
    return c != NULL;
}

enum meta_fate meta_opened_remove(struct meta *m, meta_ino ino, uint64_t *out_length)
{
    struct meta_opened *o = m->opened;
    enum meta_fate fate = META_KEPT;
    mutex_lock(&o->lock);
    struct count *c = map_get(o->counts, key_of(&ino));
    CHECK(c != NULL); /* closed more often than opened */
    if (--c->handles == 0) {
        fate = c->fate;
        *out_length = c->length;
        free(map_remove(o->counts, key_of(&ino)));
    }
    mutex_unlock(&o->lock);
    return fate;
}
