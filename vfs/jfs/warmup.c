/* `sluice warmup`: one thread walks, others bring what it has found. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mutex.h"
#include "vfs/jfs/admin.h"
#include "vfs/jfs/client.h"

#define QUEUE_MAX 1024
#define PAGE_ENTRIES 1024
/* Read-ahead and readers have nothing to do here. */
#define MEMORY (64ull << 20)

struct part {
    struct list link;
    meta_ino ino;
    uint32_t indx, size; /* of the file's chunk */
};

struct run {
    const struct jfs_warmup *how;
    struct jfs_client client;

    struct mutex lock; /* guards what follows */
    struct cond changed;
    struct list parts;
    unsigned part_count;
    bool walked; /* no part comes any more */
    struct jfs_warmup_result result;
    int told;            /* the last error said: many blocks have the same */
    atomic_bool useless; /* the cache takes nothing more */
};

static bool is_stopped(const struct run *r)
{
    return (r->how->job && job_stopped(r->how->job)) || atomic_load(&r->useless);
}

static void tell(struct run *r, struct str what, int rc)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%.*s: %s", (int)(what.len < 400 ? what.len : 400), what.ptr, strerror(-rc));
    r->how->tell(r->how->arg, str_of(text, (size_t)len));
}

/* Threads */

static struct part *next_part(struct run *r)
{
    mutex_lock(&r->lock);
    while (list_empty(&r->parts) && !r->walked)
        cond_wait(&r->changed, &r->lock);
    struct list *link = list_pop_front(&r->parts);
    if (link)
        r->part_count--;
    cond_broadcast(&r->changed);
    mutex_unlock(&r->lock);
    return link ? list_entry(link, struct part, link) : NULL;
}

static const char *reason(const struct run *r, int rc)
{
    if (rc == -ENOSPC)
        return "the cache has no room";
    if (rc == -ENODEV)
        return "the cache's disk is off";
    return r->how->action == JFS_WARMUP_EVICT ? "blocks stay in the cache" : strerror(-rc);
}

static void add(struct run *r, const struct part *p, int rc, const struct data_warm_count *c)
{
    struct jfs_warmup_result *sum = &r->result;
    int error = rc < 0 ? rc : c->error;
    mutex_lock(&r->lock);
    sum->blocks += c->blocks;
    sum->bytes += c->bytes;
    sum->there_blocks += c->there_blocks;
    sum->there_bytes += c->there_bytes;
    sum->done_blocks += c->done_blocks;
    sum->done_bytes += c->done_bytes;
    sum->failed += c->failed_blocks + (rc < 0);
    if (error < 0 && error != r->told) {
        char text[160];
        int len = snprintf(text, sizeof(text), "inode %llu: %s", (unsigned long long)p->ino, reason(r, error));
        r->told = error;
        r->how->tell(r->how->arg, str_of(text, (size_t)len));
    }
    mutex_unlock(&r->lock);
    if (error == -ENOSPC || error == -ENODEV)
        atomic_store(&r->useless, true);
    if (r->how->job)
        job_add(r->how->job, p->size);
}

static void *warm(void *arg)
{
    static const enum data_warm_action actions[] = {
        [JFS_WARMUP_FILL] = DATA_WARM_FILL, [JFS_WARMUP_CHECK] = DATA_WARM_CHECK, [JFS_WARMUP_EVICT] = DATA_WARM_EVICT};
    struct run *r = arg;
    struct data_warmer *w = data_warmer_new(r->client.data, actions[r->how->action]);
    for (struct part *p; (p = next_part(r)) != NULL; free(p)) {
        struct data_warm_count count = {0};
        if (!is_stopped(r))
            add(r, p, data_warm_chunk(w, p->ino, p->indx, p->size, &count), &count);
    }
    data_warmer_free(w);
    return NULL;
}

/* The walk */

static void add_part(struct run *r, meta_ino ino, uint32_t indx, uint32_t size)
{
    struct part *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    *p = (struct part){.ino = ino, .indx = indx, .size = size};
    mutex_lock(&r->lock);
    while (r->part_count >= QUEUE_MAX)
        cond_wait(&r->changed, &r->lock);
    list_push_back(&r->parts, &p->link);
    r->part_count++;
    cond_broadcast(&r->changed);
    mutex_unlock(&r->lock);
}

static void add_file(struct run *r, meta_ino ino, uint64_t length)
{
    mutex_lock(&r->lock);
    r->result.files++;
    mutex_unlock(&r->lock);
    for (uint64_t at = 0; at < length && !is_stopped(r); at += META_CHUNK_SIZE) {
        uint64_t left = length - at;
        add_part(r, ino, (uint32_t)(at >> META_CHUNK_BITS),
                 (uint32_t)(left < META_CHUNK_SIZE ? left : META_CHUNK_SIZE));
    }
}

/* One page of a directory: files and directories in it, and its last name. */
struct page {
    size_t count, used;
    struct {
        meta_ino ino;
        uint64_t length;
        bool is_directory;
    } nodes[PAGE_ENTRIES];
    char last[META_NAME_MAX];
    size_t last_len;
};

static int take_entry(void *arg, const struct meta_entry *e)
{
    struct page *p = arg;
    p->count++;
    p->last_len = e->name.len < sizeof(p->last) ? e->name.len : sizeof(p->last);
    memcpy(p->last, e->name.ptr, p->last_len);
    if (!e->attr || (e->attr->type != META_FILE && e->attr->type != META_DIRECTORY))
        return 0;
    p->nodes[p->used].ino = e->ino;
    p->nodes[p->used].length = e->attr->length;
    p->nodes[p->used++].is_directory = e->attr->type == META_DIRECTORY;
    return 0;
}

/* Directories that are still to be read are a stack of their numbers. */
static int walk_page(struct run *r, meta_ino dir, struct page *p, struct buf *stack)
{
    const struct meta_edge_scan scan = {
        .parent = dir, .after = str_of(p->last, p->last_len), .want = META_EDGE_ATTR, .limit = PAGE_ENTRIES};
    p->count = p->used = 0;
    int rc = meta_readdir(r->client.meta, NULL, &scan, take_entry, p);
    for (size_t i = 0; rc >= 0 && i < p->used && !is_stopped(r); i++) {
        if (p->nodes[i].is_directory)
            buf_add(stack, str_of((const char *)&p->nodes[i].ino, sizeof(meta_ino)));
        else
            add_file(r, p->nodes[i].ino, p->nodes[i].length);
    }
    return rc < 0 ? rc : 0;
}

static int walk(struct run *r, meta_ino top)
{
    struct buf stack = buf_make(LIMIT_META_WALK_DIRS * sizeof(meta_ino));
    struct page *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    int rc = 0;
    buf_add(&stack, str_of((const char *)&top, sizeof(top)));
    while (rc == 0 && stack.len > 0 && !is_stopped(r)) {
        meta_ino dir;
        stack.len -= sizeof(dir);
        memcpy(&dir, stack.ptr + stack.len, sizeof(dir));
        p->last_len = 0;
        do
            rc = walk_page(r, dir, p, &stack);
        while (rc == 0 && p->count == PAGE_ENTRIES && !is_stopped(r));
        if (rc == -ENOENT)
            rc = 0; /* removed meanwhile */
    }
    if (stack.failed)
        rc = -EFBIG;
    buf_done(&stack);
    free(p);
    return rc;
}

static struct str trimmed(struct str path)
{
    while (str_starts(path, STR("/")))
        path = str_from(path, 1);
    while (str_ends(path, STR("/")))
        path = str_first(path, path.len - 1);
    return path;
}

static int walk_path(struct run *r, struct str path)
{
    struct meta_attr attr;
    meta_ino ino;
    int rc = meta_resolve(r->client.meta, NULL, META_ROOT, trimmed(path), &ino, &attr);
    if (rc == 0 && attr.type != META_FILE && attr.type != META_DIRECTORY)
        rc = -EINVAL;
    if (rc < 0)
        return rc;
    if (attr.type == META_DIRECTORY)
        return walk(r, ino);
    add_file(r, ino, attr.length);
    return 0;
}

/* So that those who wait know for how long. */
static void sum_up(struct run *r)
{
    uint64_t total = 0;
    job_phase(r->how->job, "looking at the files", JOB_COUNT, r->how->path_count);
    for (size_t i = 0; i < r->how->path_count && !is_stopped(r); i++) {
        struct meta_attr attr;
        struct meta_summary sum;
        meta_ino ino;
        if (meta_resolve(r->client.meta, NULL, META_ROOT, trimmed(r->how->paths[i]), &ino, &attr) == 0 &&
            meta_summary(r->client.meta, ino, &sum) == 0)
            total += sum.length;
        job_add(r->how->job, 1);
    }
    static const char *const phases[] = {[JFS_WARMUP_FILL] = "filling the cache",
                                         [JFS_WARMUP_CHECK] = "checking the cache",
                                         [JFS_WARMUP_EVICT] = "emptying the cache"};
    job_phase(r->how->job, phases[r->how->action], JOB_BYTES, total);
}

static void run(struct run *r)
{
    pthread_t *threads = calloc(r->how->threads, sizeof(*threads));
    CHECK(threads != NULL); /* out of memory */
    if (r->how->job)
        sum_up(r);
    for (uint32_t i = 0; i < r->how->threads; i++)
        thread_start(&threads[i], "warmup", warm, r);
    for (size_t i = 0; i < r->how->path_count && !is_stopped(r); i++) {
        int rc = walk_path(r, r->how->paths[i]);
        mutex_lock(&r->lock);
        if (rc < 0) {
            r->result.failed++;
            tell(r, r->how->paths[i], rc);
        }
        mutex_unlock(&r->lock);
    }
    mutex_lock(&r->lock);
    r->walked = true;
    cond_broadcast(&r->changed);
    mutex_unlock(&r->lock);
    for (uint32_t i = 0; i < r->how->threads; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    free(threads);
}

int jfs_warmup(const struct jfs_warmup *w, struct jfs_warmup_result *out, struct buf *error)
{
    const struct jfs_client_options how = {
        .meta = {.read_only = true, .no_background = true},
        .data = {.memory = MEMORY, .downloads = 1, .read_only = true, .disk = w->cache},
    };
    struct run r = {.how = w};
    const char *why = NULL;
    *out = (struct jfs_warmup_result){0};
    int rc = jfs_client_open(w->url, &how, &r.client, &why);
    if (rc < 0) {
        buf_addz(error, why ? why : strerror(-rc));
        return rc;
    }
    CHECK(data_has_disk(r.client.data) && w->threads > 0);
    mutex_init(&r.lock);
    cond_init(&r.changed);
    list_init(&r.parts);
    run(&r);
    *out = r.result;
    rc = atomic_load(&r.useless) ? -EIO : is_stopped(&r) ? -ECANCELED : 0;
    if (rc == -EIO)
        buf_addz(error, "given up: the cache takes nothing more");
    cond_done(&r.changed);
    mutex_done(&r.lock);
    jfs_client_close(&r.client);
    return rc;
}
