/* Writers: what is written gathers in slices, whose blocks are uploaded as soon as they are full and which are committed when
 * all their blocks are durable.
 *
 *   growing ──freeze()──▶ frozen ──last upload──▶ ready ──commit()──▶ committed, gone
 *
 * Invariants:
 * 1. Slices of a file are committed in the order they were begun, one at a time; a slice that overlaps an older one of its
 *    chunk was begun later. So what others see is always some state the file had, as far as it was not overwritten twice.
 * 2. A block belongs to its slice until it is handed to an upload, whole and never to be changed again.
 * 3. After the first error nothing more is committed: slices that would have come later are dropped and their blocks deleted.
 *    Blocks of a commit that failed stay when the metadata may have it all the same (§3.7).
 * 4. Who waits for memory holds no lock, and somebody's slices are on their way out meanwhile. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/data/data_internal.h"

/* Buffers grow by doubling up to a piece of a block, and then to all of it: a file of so much is likely to have more, and the
 * memory of whole blocks is used again, so that its pages need not be cleared. */
#define BLOCK_CAPACITY_MIN (64 * 1024u)
#define BLOCK_CAPACITY_PART (512 * 1024u)
#define MEMORY_WAIT_MS 20

struct buffer {
    char *bytes;
    uint32_t capacity; /* charged to the budget */
};

struct slice {
    struct list link; /* in the writer, in the order of beginning */
    uint64_t id;
    uint32_t indx, pos, len;
    uint32_t handed; /* bytes whose blocks are or were with uploads */
    unsigned uploading;
    bool frozen;
    uint64_t begun_ms, touched_ms;
    struct timespec mtime;
    struct buffer blocks[]; /* those not handed over */
};

struct data_writer {
    struct list link; /* in the data */
    struct data *data;
    meta_ino ino;
    struct data_commit commit; /* write_slice NULL: to the metadata */

    struct mutex lock; /* guards what follows, and the slices */
    struct cond changed;
    struct list slices;
    unsigned slice_count;
    bool committing;
    int error;
    uint64_t end;            /* of what was written since the last flush */
    uint64_t begun, finished; /* slices */
};

struct upload {
    struct vfs_job job;
    struct data_writer *writer;
    struct slice *slice;
    struct block_id id;
    struct buffer buffer;
};

static uint32_t blocks_per_chunk(const struct data *d)
{
    return (uint32_t)(META_CHUNK_SIZE / d->layout.block_size);
}

static void run_upload(struct vfs_job *job);

/* Below, the writer's lock is held unless said otherwise. */

static struct slice *slice_of(struct list *link)
{
    return list_entry(link, struct slice, link);
}

static struct upload *make_upload(struct data_writer *w, struct slice *s, struct block_id id, struct buffer buffer)
{
    struct upload *u = calloc(1, sizeof(*u));
    CHECK(u != NULL); /* out of memory */
    u->job.run = run_upload;
    u->writer = w;
    u->slice = s;
    u->id = id;
    u->buffer = buffer;
    s->uploading++;
    return u;
}

static void submit(struct data_writer *w, struct upload *u)
{
    vfs_pool_submit(w->data->uploads, &u->job);
}

static struct upload *hand_over(struct data_writer *w, struct slice *s, uint32_t index, uint32_t size)
{
    struct buffer buffer = s->blocks[index];
    CHECK(buffer.bytes != NULL && buffer.capacity >= size);
    s->blocks[index] = (struct buffer){0};
    s->handed += size;
    return make_upload(w, s, (struct block_id){s->id, index, size}, buffer);
}

static void hand_over_full(struct data_writer *w, struct slice *s)
{
    uint32_t block_size = w->data->layout.block_size;
    while (s->len - s->handed >= block_size)
        submit(w, hand_over(w, s, s->handed / block_size, block_size));
}

/* What is left to upload, if anything, for the caller to submit. */
static struct upload *freeze_but_last(struct data_writer *w, struct slice *s)
{
    if (s->frozen)
        return NULL;
    CHECK(s->len > 0);
    s->frozen = true;
    hand_over_full(w, s);
    if (s->len > s->handed)
        return hand_over(w, s, s->handed / w->data->layout.block_size, s->len - s->handed);
    /* When all uploads have ended before, an empty one sees to the commit. */
    return s->uploading == 0 ? make_upload(w, s, (struct block_id){0}, (struct buffer){0}) : NULL;
}

static void freeze(struct data_writer *w, struct slice *s)
{
    struct upload *last = freeze_but_last(w, s);
    if (last)
        submit(w, last);
}

static void freeze_all(struct data_writer *w)
{
    list_for_each(it, &w->slices)
        freeze(w, slice_of(it));
}

static void free_slice(struct data_writer *w, struct slice *s)
{
    for (uint32_t i = 0; i < blocks_per_chunk(w->data); i++)
        CHECK(s->blocks[i].bytes == NULL);
    free(s);
}

static void forget_slice(struct data_writer *w, struct slice *s)
{
    list_remove(&s->link);
    w->slice_count--;
    free_slice(w, s);
    cond_broadcast(&w->changed);
}

static void finish_slice(struct data_writer *w, struct slice *s)
{
    w->finished++;
    forget_slice(w, s);
}

/* May the metadata have the slice in spite of this error? (meta_write_slice) */
static bool is_outcome_unknown(int rc)
{
    return rc != -ENOENT && rc != -ENOSPC && rc != -EDQUOT;
}

struct discard {
    struct vfs_job job;
    struct data *data;
    uint64_t id;
    uint32_t size;
};

static void run_discard(struct vfs_job *job)
{
    struct discard *x = container_of(job, struct discard, job);
    if (data_delete_blocks(x->data, x->id, x->size) < 0)
        log_debug("blocks_left", "slice=%llu size=%u", (unsigned long long)x->id, x->size); /* gc finds them */
    free(x);
}

/* Behind the back of who waits for the flush: the store that failed to take a block may take its time over this too. */
void data_discard_slice(struct data *d, uint64_t id, uint32_t size)
{
    struct discard *x = calloc(1, sizeof(*x));
    CHECK(x != NULL); /* out of memory */
    *x = (struct discard){.job.run = run_discard, .data = d, .id = id, .size = size};
    vfs_pool_submit(d->uploads, &x->job);
}

static int commit_slice(struct data_writer *w, const struct slice *s)
{
    const struct data_source *source = &w->data->source;
    const struct meta_slice record = {.id = s->id, .size = s->len, .off = 0, .len = s->len};
    int rc = fault_point("data.commit");
    if (rc < 0)
        return rc;
    return w->commit.write_slice ? w->commit.write_slice(w->commit.arg, s->indx, s->pos, &record, &s->mtime)
                                 : source->write_slice(source->arg, w->ino, s->indx, s->pos, &record, &s->mtime);
}

/* Commits the first slice, or after an error drops it; the lock is let go meanwhile. */
static void retire_first(struct data_writer *w, struct slice *s)
{
    struct data *d = w->data;
    bool drop = w->error < 0;
    mutex_unlock(&w->lock);
    int rc = drop ? 0 : commit_slice(w, s);
    if (!drop)
        data_chunk_forget(d, w->ino, s->indx);
    if (drop || (rc < 0 && !is_outcome_unknown(rc)))
        data_discard_slice(d, s->id, s->len);
    mutex_lock(&w->lock);
    if (rc < 0 && w->error == 0)
        w->error = rc;
    finish_slice(w, s);
}

/* Whoever is here first retires all that can be; others go on. */
static void retire(struct data_writer *w)
{
    if (w->committing)
        return;
    w->committing = true;
    while (!list_empty(&w->slices)) {
        struct slice *first = slice_of(w->slices.next);
        if (!first->frozen || first->uploading > 0)
            break;
        retire_first(w, first);
    }
    w->committing = false;
    cond_broadcast(&w->changed);
}

/* Uploads. No lock is held here. */

static void give_back(struct data *d, struct buffer *b)
{
    if (b->bytes && b->capacity == d->layout.block_size) {
        data_cache_give_block(d->cache, DATA_WRITE, b->bytes);
    } else {
        free(b->bytes);
        data_cache_give(d->cache, DATA_WRITE, b->capacity);
    }
    *b = (struct buffer){0};
}

/* Small blocks, of small files mostly, are likely to be read soon. Only once they are in the store: the cache's bytes are those of
 * the store. */
static void keep_small(struct data *d, struct upload *u)
{
    if (u->id.size >= d->layout.block_size)
        return;
    char *bytes = realloc(u->buffer.bytes, u->id.size);
    CHECK(bytes != NULL); /* out of memory */
    data_cache_put(d->cache, &u->id, bytes);
    u->buffer.bytes = NULL;
    if (d->disk)
        disk_cache_offer(d->disk, &u->id);
}

static void run_upload(struct vfs_job *job)
{
    struct upload *u = container_of(job, struct upload, job);
    struct data_writer *w = u->writer;
    struct data *d = w->data;
    mutex_lock(&w->lock);
    int rc = w->error; /* then it would be dropped anyway */
    mutex_unlock(&w->lock);
    if (u->buffer.bytes) {
        if (rc == 0)
            rc = data_store_block(d, &u->id, u->buffer.bytes);
        if (rc == 0)
            keep_small(d, u);
        give_back(d, &u->buffer);
    }
    mutex_lock(&w->lock);
    if (rc < 0 && w->error == 0)
        w->error = rc == -ENOSPC ? -ENOSPC : -EIO;
    if (w->error < 0)
        freeze_all(w);
    u->slice->uploading--;
    retire(w);
    mutex_unlock(&w->lock);
    free(u);
}

/* Writing */

/* The slice that a write of [pos, pos+size) may go on with. Going back, it may pass slices that do not overlap the write. */
static struct slice *find_slice(struct data_writer *w, uint32_t indx, uint32_t pos, uint64_t size)
{
    for (struct list *it = w->slices.prev; it != &w->slices; it = it->prev) {
        struct slice *s = slice_of(it);
        if (s->indx != indx)
            continue;
        if (!s->frozen && pos >= s->pos + s->handed && pos <= s->pos + s->len)
            return s;
        if (pos < s->pos + s->len && s->pos < pos + size)
            return NULL;
    }
    return NULL;
}

static struct slice *begin_slice(struct data_writer *w, uint64_t id, uint32_t indx, uint32_t pos)
{
    uint32_t count = blocks_per_chunk(w->data);
    struct slice *s = calloc(1, sizeof(*s) + count * sizeof(struct buffer));
    CHECK(s != NULL); /* out of memory */
    s->id = id;
    s->indx = indx;
    s->pos = pos;
    s->begun_ms = clock_mono_ms();
    list_push_back(&w->slices, &s->link);
    w->slice_count++;
    w->begun++;
    return s;
}

static bool grow_to_block(struct data *d, struct buffer *b)
{
    char *bytes = data_cache_take_block(d->cache, DATA_WRITE);
    if (!bytes)
        return false;
    if (b->capacity > 0) {
        memcpy(bytes, b->bytes, b->capacity);
        give_back(d, b);
    }
    *b = (struct buffer){bytes, d->layout.block_size};
    return true;
}

/* Room in a block for `size` bytes in all; false when there is no memory. */
static bool grow(struct data *d, struct buffer *b, uint32_t size)
{
    if (b->capacity >= size)
        return true;
    uint32_t capacity = b->capacity ? b->capacity : BLOCK_CAPACITY_MIN;
    while (capacity < size)
        capacity *= 2;
    if (capacity > d->layout.block_size)
        capacity = d->layout.block_size;
    if ((capacity > BLOCK_CAPACITY_PART || capacity == d->layout.block_size) && grow_to_block(d, b))
        return true;
    if (!data_cache_take(d->cache, DATA_WRITE, capacity - b->capacity))
        return false;
    b->bytes = realloc(b->bytes, capacity);
    CHECK(b->bytes != NULL); /* out of memory */
    b->capacity = capacity;
    return true;
}

static void touch(struct slice *s)
{
    int64_t now = clock_wall_ns();
    s->mtime = (struct timespec){.tv_sec = (time_t)(now / 1000000000), .tv_nsec = (long)(now % 1000000000)};
    s->touched_ms = clock_mono_ms();
}

/* As many of the bytes as go into one block of s; 0 when there is no memory for them. */
static uint32_t write_some(struct data_writer *w, struct slice *s, uint32_t pos, struct str bytes)
{
    uint32_t block_size = w->data->layout.block_size;
    uint32_t at = pos - s->pos, index = at / block_size, from = at % block_size;
    uint32_t part = block_size - from;
    if (part > META_CHUNK_SIZE - pos)
        part = (uint32_t)(META_CHUNK_SIZE - pos);
    if (part > bytes.len)
        part = (uint32_t)bytes.len;
    /* Who has filled a block goes on, mostly: no growing by steps then, each of which moves the bytes. */
    bool whole = index > 0 && grow(w->data, &s->blocks[index], block_size);
    if (!whole && !grow(w->data, &s->blocks[index], from + part))
        return 0;
    memcpy(s->blocks[index].bytes + from, bytes.ptr, part);
    if (s->len < at + part)
        s->len = at + part;
    touch(s);
    hand_over_full(w, s);
    if (s->pos + s->len == META_CHUNK_SIZE)
        freeze(w, s);
    return part;
}

/* A slice for the write, begun when need be; NULL after an error. *spare is an id that was fetched and not needed. The lock is let
 * go to fetch one. */
static struct slice *slice_for(struct data_writer *w, uint32_t indx, uint32_t pos, uint64_t size, uint64_t *spare)
{
    for (;;) {
        while (w->error == 0 && w->slice_count >= LIMIT_DATA_SLICES) {
            freeze_all(w);
            cond_wait(&w->changed, &w->lock);
        }
        if (w->error < 0)
            return NULL;
        struct slice *s = find_slice(w, indx, pos, size);
        if (s)
            return s;
        if (*spare) {
            s = begin_slice(w, *spare, indx, pos);
            *spare = 0;
            return s;
        }
        mutex_unlock(&w->lock);
        int rc = w->data->source.new_slice(w->data->source.arg, spare);
        mutex_lock(&w->lock);
        if (rc < 0 && w->error == 0)
            w->error = rc;
    }
}

/* A slice begun just now that got no bytes is none: a flush that waits for older ones must not count it among them. */
static void drop_if_empty(struct data_writer *w, struct slice *s, uint64_t *spare)
{
    if (s->len > 0)
        return;
    *spare = s->id;
    w->begun--;
    forget_slice(w, s);
}

/* Memory may have come back, or somebody's slice is on its way out now. No lock is held. */
static void wait_for_memory(struct data *d)
{
    if (!data_cache_wait(d->cache, MEMORY_WAIT_MS)) /* no upload has ended: none may be going on */
        data_writers_relieve(d);
}

/* Waits for memory; -EBUSY when there was none for too long. */
static int be_patient(struct data *d, uint64_t *until_ms)
{
    uint64_t now_ms = clock_mono_ms();
    if (*until_ms == 0)
        *until_ms = now_ms + d->write_wait_ms;
    if (d->write_wait_ms > 0 && now_ms >= *until_ms)
        return -EBUSY;
    wait_for_memory(d);
    return 0;
}

int data_writer_write(struct data_writer *w, struct str bytes, uint64_t offset)
{
    uint64_t spare = 0, patient_until_ms = 0; /* 0: not waiting */
    int rc = 0;
    if (offset > INT64_MAX || bytes.len > INT64_MAX - offset ||
        (offset + bytes.len) >> META_CHUNK_BITS > INT32_MAX)
        return -EFBIG;
    mutex_lock(&w->lock);
    while (bytes.len > 0 && w->error == 0 && rc == 0) {
        uint32_t indx = (uint32_t)(offset >> META_CHUNK_BITS), pos = (uint32_t)(offset & (META_CHUNK_SIZE - 1));
        uint64_t in_chunk = bytes.len < META_CHUNK_SIZE - pos ? bytes.len : META_CHUNK_SIZE - pos;
        struct slice *s = slice_for(w, indx, pos, in_chunk, &spare);
        uint32_t part = s ? write_some(w, s, pos, bytes) : 0;
        if (s && part == 0) {
            drop_if_empty(w, s, &spare);
            mutex_unlock(&w->lock);
            rc = be_patient(w->data, &patient_until_ms);
            mutex_lock(&w->lock);
        } else {
            patient_until_ms = 0;
        }
        bytes = str_from(bytes, part);
        offset += part;
        if (part > 0 && offset > w->end)
            w->end = offset;
    }
    if (w->error < 0)
        rc = w->error;
    mutex_unlock(&w->lock);
    return rc;
}

/* Who waits anyway does the last upload itself: a small file has no other, and needs no second thread then. */
static int flush(struct data_writer *w)
{
    uint64_t target = w->begun;
    struct upload *own = NULL;
    list_for_each(it, &w->slices)
    {
        struct upload *last = freeze_but_last(w, slice_of(it));
        if (last && own)
            submit(w, own);
        own = last ? last : own;
    }
    retire(w);
    if (own) {
        mutex_unlock(&w->lock);
        vfs_pool_run(w->data->uploads, &own->job);
        mutex_lock(&w->lock);
    }
    while (w->finished < target)
        cond_wait(&w->changed, &w->lock);
    if (w->slice_count == 0)
        w->end = 0; /* the metadata knows the length now, and may make it smaller */
    return w->error;
}

int data_writer_flush(struct data_writer *w)
{
    mutex_lock(&w->lock);
    int rc = flush(w);
    mutex_unlock(&w->lock);
    return rc;
}

uint64_t data_writer_length(struct data_writer *w, uint64_t length)
{
    mutex_lock(&w->lock);
    uint64_t end = w->end;
    mutex_unlock(&w->lock);
    return end > length ? end : length;
}

/* Opening and closing */

int data_writer_open(struct data *d, meta_ino ino, const struct data_commit *commit, struct data_writer **out)
{
    if (d->read_only)
        return -EROFS;
    struct data_writer *w = calloc(1, sizeof(*w));
    CHECK(w != NULL); /* out of memory */
    w->data = d;
    w->ino = ino;
    if (commit)
        w->commit = *commit;
    mutex_init(&w->lock);
    cond_init(&w->changed);
    list_init(&w->slices);
    mutex_lock(&d->writers_lock);
    list_push_back(&d->writers, &w->link);
    mutex_unlock(&d->writers_lock);
    *out = w;
    return 0;
}

static void close_writer(struct data_writer *w)
{
    struct data *d = w->data;
    mutex_lock(&d->writers_lock);
    list_remove(&w->link);
    mutex_unlock(&d->writers_lock);
    mutex_lock(&w->lock);
    (void)flush(w); /* who wants to know has flushed before */
    while (w->committing)
        cond_wait(&w->changed, &w->lock);
    CHECK(list_empty(&w->slices));
    mutex_unlock(&w->lock);
    cond_done(&w->changed);
    mutex_done(&w->lock);
    free(w);
}

void data_writer_close(struct data_writer *w)
{
    if (w)
        close_writer(w);
}

/* All writers of a volume */

void data_writers_age(struct data *d, uint64_t age_ms)
{
    uint64_t now = clock_mono_ms();
    mutex_lock(&d->writers_lock);
    list_for_each(it, &d->writers)
    {
        struct data_writer *w = list_entry(it, struct data_writer, link);
        mutex_lock(&w->lock);
        list_for_each(at, &w->slices)
        {
            struct slice *s = slice_of(at);
            if (s->len > 0 && now - s->begun_ms >= age_ms)
                freeze(w, s);
        }
        mutex_unlock(&w->lock);
    }
    mutex_unlock(&d->writers_lock);
}

static struct slice *oldest_of(struct data_writer *w)
{
    struct slice *oldest = NULL;
    list_for_each(it, &w->slices)
    {
        struct slice *s = slice_of(it);
        if (!s->frozen && s->len > s->handed && (!oldest || s->touched_ms < oldest->touched_ms))
            oldest = s;
    }
    return oldest;
}

void data_writers_relieve(struct data *d)
{
    struct data_writer *victim = NULL;
    uint64_t victim_ms = UINT64_MAX;
    mutex_lock(&d->writers_lock);
    list_for_each(it, &d->writers)
    {
        struct data_writer *w = list_entry(it, struct data_writer, link);
        mutex_lock(&w->lock);
        struct slice *s = oldest_of(w);
        if (s && s->touched_ms < victim_ms) {
            victim = w;
            victim_ms = s->touched_ms;
        }
        mutex_unlock(&w->lock);
    }
    if (victim) {
        mutex_lock(&victim->lock);
        struct slice *s = oldest_of(victim); /* perhaps another one by now, as good */
        if (s)
            freeze(victim, s);
        mutex_unlock(&victim->lock);
    }
    mutex_unlock(&d->writers_lock);
}
