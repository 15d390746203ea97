/* What was last seen of files, for close-to-open consistency. A slot for each hash: who falls out of it is merely forgotten once more
 * than need be. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/data/data_internal.h"

struct seen {
    meta_ino ino;
    uint64_t length;
    struct timespec mtime;
};

struct data_seen {
    struct mutex lock; /* guards the slots */
    struct seen slots[LIMIT_DATA_SEEN];
};

struct data_seen *data_seen_new(void)
{
    struct data_seen *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    mutex_init(&s->lock);
    return s;
}

void data_seen_free(struct data_seen *s)
{
    if (!s)
        return;
    mutex_done(&s->lock);
    free(s);
}

/* Inodes are given out in order: the multiplier spreads them. */
static struct seen *slot_of(struct data_seen *s, meta_ino ino)
{
    return &s->slots[ino * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (LIMIT_DATA_SEEN - 1)];
}

bool data_see(struct data *d, meta_ino ino, const struct meta_attr *attr)
{
    struct data_seen *all = d->seen;
    mutex_lock(&all->lock);
    struct seen *s = slot_of(all, ino);
    bool known = s->ino == ino && s->length == attr->length && s->mtime.tv_sec == attr->mtime.tv_sec &&
                 s->mtime.tv_nsec == attr->mtime.tv_nsec;
    *s = (struct seen){ino, attr->length, attr->mtime};
    mutex_unlock(&all->lock);
    if (!known)
        data_forget(d, ino);
    return known;
}

_Static_assert((LIMIT_DATA_SEEN & (LIMIT_DATA_SEEN - 1)) == 0, "a slot's number is a hash's lower bits");
