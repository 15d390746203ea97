/* The trash: a sub-directory for each hour, made on demand (§6.6). */
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "vfs/meta/internal.h"

struct hour {
    struct str name;
    meta_ino ino;
    struct meta_usage usage;
};

static int hour_make(struct meta_txn *t, struct hour *h)
{
    int64_t number;
    int rc = META_DO(t, counter_add, "nextTrash", 1, &number);
    if (rc < 0)
        return rc;
    h->ino = META_TRASH + (uint64_t)number;
    struct meta_attr attr = {
        .type = META_DIRECTORY, .mode = 0555, .nlink = 2, .length = 4096, .parent = META_TRASH, .atime = meta_now()};
    attr.mtime = attr.ctime = attr.atime;
    rc = META_DO(t, edge_insert, META_TRASH, h->name, ((struct meta_edge){h->ino, META_DIRECTORY}));
    if (rc >= 0)
        rc = META_DO(t, node_insert, h->ino, &attr);
    if (rc >= 0)
        rc = META_DO(t, dir_stat_put, h->ino, &(struct meta_dir_stat){0});
    meta_usage_node(&h->usage, &attr, 1);
    return rc;
}

static int hour_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct hour *h = arg;
    h->usage = (struct meta_usage){0};
    struct meta_edge edge;
    int rc = META_DO(t, edge_get, META_TRASH, h->name, true, &edge);
    if (rc == -ENOENT)
        return hour_make(t, h);
    h->ino = edge.ino;
    return rc;
}

static struct str hour_name(char out[META_TRASH_HOUR_SIZE])
{
    const time_t now = meta_now().tv_sec;
    struct tm utc;
    CHECK(gmtime_r(&now, &utc) != NULL);
    return str_of(out, strftime(out, META_TRASH_HOUR_SIZE, "%Y-%m-%d-%H", &utc));
}

static meta_ino hour_known(struct meta *m, struct str name)
{
    mutex_lock(&m->lock);
    const meta_ino ino = str_is(name, m->trash_hour.name) ? m->trash_hour.ino : 0;
    mutex_unlock(&m->lock);
    return ino;
}

static void hour_remember(struct meta *m, const struct hour *h)
{
    mutex_lock(&m->lock);
    m->trash_hour.ino = h->ino;
    memcpy(m->trash_hour.name, h->name.ptr, h->name.len);
    m->trash_hour.name[h->name.len] = '\0';
    mutex_unlock(&m->lock);
}

int meta_trash_for(struct meta *m, meta_ino parent, unsigned flags, meta_ino *out)
{
    *out = 0;
    if ((flags & META_SKIP_TRASH) || meta_is_trash(parent) || meta_features(m).trash_days == 0)
        return 0;
    char memory[META_TRASH_HOUR_SIZE];
    struct hour h = {.name = hour_name(memory)};
    *out = hour_known(m, h.name);
    if (*out != 0)
        return 0;
    int rc = meta_transact(m, META_TXN_WRITE, hour_txn, &h);
    if (rc < 0)
        return rc;
    meta_usage_apply(m, &h.usage);
    hour_remember(m, &h);
    *out = h.ino;
    return 0;
}

struct str meta_trash_name(char out[META_NAME_MAX + 1], meta_ino parent, meta_ino ino, struct str name)
{
    const int size = snprintf(out, META_NAME_MAX + 1, "%llu-%llu-", (unsigned long long)parent, (unsigned long long)ino);
    const size_t room = META_NAME_MAX - (size_t)size, part = name.len < room ? name.len : room;
    memcpy(out + size, name.ptr, part);
    return str_of(out, (size_t)size + part);
}
