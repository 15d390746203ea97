/* Advisory locks (§7.18): rows of the session's, which its end removes. Nobody waits here, for the disk neither: no holder of a lock
 * outlives a loss of power. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/limits.h"
#include "vfs/meta/ranges.h"
#include "vfs/meta/upkeep.h"

/* flock */

struct flock_call {
    meta_ino ino;
    struct meta_lock_holder own;
    char type;
    bool taken; /* by somebody else, so that we may not */
};

static bool is_own(const struct meta_lock_holder *a, const struct meta_lock_holder *b)
{
    return a->sid == b->sid && a->owner == b->owner;
}

static int check_flock(void *arg, const struct meta_flock_row *row)
{
    struct flock_call *c = arg;
    if (!is_own(&row->holder, &c->own) && (c->type == 'W' || row->type == 'W'))
        c->taken = true;
    return 0;
}

static int flock_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct flock_call *c = arg;
    struct meta_attr attr;
    c->taken = false;
    t->lazy = true;
    if (c->type == 'U')
        return META_DO(t, flock_delete, c->ino, c->own);
    int rc = META_DO(t, node_get, c->ino, true, &attr);
    if (rc == 0)
        rc = META_DO(t, flock_scan, c->ino, check_flock, c);
    if (rc == 0 && c->taken)
        rc = -EAGAIN;
    return rc == 0 ? META_DO(t, flock_put, c->ino, c->own, c->type) : rc;
}

int meta_flock(struct meta *m, meta_ino ino, uint64_t owner, char type)
{
    struct flock_call c = {.ino = ino, .own = {m->sid, owner}, .type = type};
    if (type != 'R' && type != 'W' && type != 'U')
        return -EINVAL;
    return meta_transact(m, META_TXN_WRITE, flock_txn, &c);
}

/* Ranges */

struct range_call {
    meta_ino ino;
    struct meta_lock_holder own;
    struct meta_range_lock lock;
    bool found; /* something in the way: `conflict`, of `holder` */
    struct meta_range_lock conflict;
    struct meta_lock_holder holder;
    struct meta_range_lock *ranges; /* our own */
    size_t count;
};

static int look_at(void *arg, const struct meta_plock_row *row)
{
    struct range_call *c = arg;
    struct meta_range_lock *ranges = NULL;
    size_t count = 0;
    int rc = meta_ranges_parse(row->records, &ranges, &count);
    if (rc < 0)
        return rc;
    if (is_own(&row->holder, &c->own)) {
        c->ranges = ranges;
        c->count = count;
        return 0;
    }
    const struct meta_range_lock *conflict = meta_ranges_conflict(ranges, count, &c->lock);
    if (conflict && !c->found) {
        c->found = true;
        c->conflict = *conflict;
        c->holder = row->holder;
    }
    free(ranges);
    return 0;
}

static int read_ranges(struct meta_txn *t, struct range_call *c)
{
    free(c->ranges);
    c->ranges = NULL;
    c->count = 0;
    c->found = false;
    return META_DO(t, plock_scan, c->ino, look_at, c);
}

static int store(struct meta_txn *t, const struct range_call *c)
{
    struct buf records = buf_make(LIMIT_META_LOCK_BYTES);
    struct meta_range_lock *after = calloc(c->count + 2, sizeof(*after));
    size_t n = after ? meta_ranges_set(c->ranges, c->count, &c->lock, after) : 0;
    int rc = after ? 0 : -ENOLCK;
    meta_ranges_write(after, n, &records);
    if (records.failed)
        rc = -ENOLCK;
    else if (rc == 0 && n > 0)
        rc = META_DO(t, plock_put, c->ino, c->own, buf_str(&records));
    else if (rc == 0)
        rc = META_DO(t, plock_delete, c->ino, c->own);
    buf_done(&records);
    free(after);
    return rc;
}

static int setlk_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct range_call *c = arg;
    struct meta_attr attr;
    t->lazy = true;
    int rc = c->lock.type == F_UNLCK ? 0 : META_DO(t, node_get, c->ino, true, &attr);
    if (rc == 0)
        rc = read_ranges(t, c);
    if (rc == 0 && c->found && c->lock.type != F_UNLCK)
        rc = -EAGAIN;
    if (rc < 0 || (c->lock.type == F_UNLCK && c->count == 0))
        return rc;
    return store(t, c);
}

int meta_setlk(struct meta *m, meta_ino ino, uint64_t owner, const struct meta_range_lock *lock)
{
    struct range_call c = {.ino = ino, .own = {m->sid, owner}, .lock = *lock};
    if (lock->start > lock->end || (lock->type != F_RDLCK && lock->type != F_WRLCK && lock->type != F_UNLCK))
        return -EINVAL;
    int rc = meta_transact(m, META_TXN_WRITE, setlk_txn, &c);
    free(c.ranges);
    return rc;
}

static int getlk_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    return read_ranges(t, arg);
}

int meta_getlk(struct meta *m, meta_ino ino, uint64_t owner, struct meta_range_lock *lock)
{
    struct range_call c = {.ino = ino, .own = {m->sid, owner}, .lock = *lock};
    int rc = lock->type == F_UNLCK ? 0 : meta_transact(m, META_TXN_READ, getlk_txn, &c);
    free(c.ranges);
    if (rc < 0)
        return rc;
    *lock = c.found ? c.conflict : (struct meta_range_lock){.type = F_UNLCK};
    if (c.found && c.holder.sid != m->sid)
        lock->pid = 0;
    return 0;
}
