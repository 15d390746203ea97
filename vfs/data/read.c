#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/data/data_internal.h"

/* Sequential readers: who reads on where another read of the same file ended. The window of blocks fetched ahead doubles with
 * every block that is read so. */

struct stream {
    struct list link; /* the last used first */
    meta_ino ino;
    uint64_t next;        /* where it reads on */
    uint64_t asked_end;   /* of what its reader asked for in all, which may take several reads */
    uint64_t fetched_end; /* read-ahead was asked for up to here */
    bool runs_on;         /* asked for more where it had asked up to: it is read ahead for beyond what it asks for */
    uint32_t window;      /* in blocks */
};

struct data_streams {
    struct mutex lock; /* guards all */
    struct list used;
    struct stream slots[LIMIT_DATA_STREAMS];
};

struct data_streams *data_streams_new(void)
{
    struct data_streams *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    mutex_init(&s->lock);
    list_init(&s->used);
    for (size_t i = 0; i < LIMIT_DATA_STREAMS; i++)
        list_push_back(&s->used, &s->slots[i].link);
    return s;
}

void data_streams_free(struct data_streams *s)
{
    if (!s)
        return;
    mutex_done(&s->lock);
    free(s);
}

/* The stream that ends at `offset`, or NULL. The lock is held. */
static struct stream *find_stream(struct data_streams *s, meta_ino ino, uint64_t offset)
{
    list_for_each(it, &s->used)
    {
        struct stream *st = list_entry(it, struct stream, link);
        if (st->ino == ino && st->next == offset)
            return st;
    }
    return NULL;
}

/* One that begins at `offset`, instead of the one that has slept the longest. The lock is held. */
static struct stream *new_stream(struct data_streams *s, meta_ino ino, uint64_t offset)
{
    struct stream *st = list_entry(s->used.prev, struct stream, link);
    st->ino = ino;
    st->asked_end = st->fetched_end = offset;
    st->runs_on = false;
    st->window = 0;
    return st;
}

static void widen(struct stream *st, bool next_block)
{
    if (st->window == 0)
        st->window = 1;
    else if (next_block && st->window < LIMIT_DATA_READAHEAD_BLOCKS)
        st->window *= 2;
}

struct plan {
    bool sequential;
    uint64_t fetch_from, fetch_end; /* to be fetched ahead, in the file */
};

/* What a read of [offset, offset+size), of [offset, asked_end) to come, is part of. A file's beginning counts as sequential,
 * most files are read whole; and the blocks of a large read are fetched side by side. The first block is left to the reader
 * itself. */
static struct plan plan_read(struct data *d, meta_ino ino, uint64_t offset, size_t size, uint64_t asked_end)
{
    struct data_streams *s = d->streams;
    uint64_t block = d->layout.block_size, end = offset + size;
    mutex_lock(&s->lock);
    struct stream *st = find_stream(s, ino, offset);
    bool known = st != NULL;
    if (!known)
        st = new_stream(s, ino, offset);
    if (known || asked_end > end)
        widen(st, end / block != offset / block);
    st->runs_on = st->runs_on || (known && offset == st->asked_end);
    st->asked_end = asked_end;
    struct plan p = {
        .sequential = known || offset == 0 || asked_end - offset >= block,
        .fetch_from = (offset / block + 1) * block,
        .fetch_end = end + st->window * block,
    };
    if (!st->runs_on && p.fetch_end > asked_end)
        p.fetch_end = asked_end;
    if (p.fetch_from < st->fetched_end)
        p.fetch_from = st->fetched_end;
    if (st->fetched_end < p.fetch_end)
        st->fetched_end = p.fetch_end;
    st->next = end;
    list_remove(&st->link);
    list_push_front(&s->used, &st->link);
    mutex_unlock(&s->lock);
    return p;
}

static void fetch_piece(struct data *d, const struct meta_slice *piece, uint32_t from, uint32_t end)
{
    uint32_t block_size = d->layout.block_size;
    for (uint64_t at = from; at < end; at = (at / block_size + 1) * block_size) {
        struct block_id id = block_at(piece->id, piece->size, (uint32_t)at, block_size);
        data_prefetch(d, &id);
    }
}

/* Starts loading the blocks of [from, end) of the file; what cannot be is left to the reads themselves. */
static void fetch_ahead(struct data *d, meta_ino ino, uint64_t from, uint64_t end)
{
    while (from < end) {
        uint32_t indx = (uint32_t)(from >> META_CHUNK_BITS), pos = (uint32_t)(from & (META_CHUNK_SIZE - 1));
        uint64_t chunk_end = end - (from - pos) < META_CHUNK_SIZE ? end - (from - pos) : META_CHUNK_SIZE;
        struct data_chunk *chunk;
        if (data_chunk_get(d, ino, indx, &chunk) < 0)
            return;
        for (size_t i = 0; i < chunk->count; i++) {
            const struct meta_slice *p = &chunk->pieces[i];
            uint64_t first = p->pos > pos ? p->pos : pos;
            uint64_t last = p->pos + p->len < chunk_end ? p->pos + p->len : chunk_end;
            if (p->id != 0 && first < last)
                fetch_piece(d, p, (uint32_t)(p->off + first - p->pos), (uint32_t)(p->off + last - p->pos));
        }
        data_chunk_unref(chunk);
        from += chunk_end - pos;
    }
}

/* Bytes [pos, pos+size) of one chunk. */
static int read_chunk(struct data *d, const struct data_chunk *chunk, uint32_t pos, uint32_t size, char *out,
                      bool sequential)
{
    uint32_t done = 0;
    for (size_t i = 0; i < chunk->count && done < size; i++) {
        const struct meta_slice *p = &chunk->pieces[i];
        uint32_t at = pos + done;
        if (p->pos + p->len <= at)
            continue;
        if (p->pos > at) { /* a hole */
            uint32_t gap = p->pos - at < size - done ? p->pos - at : size - done;
            memset(out + done, 0, gap);
            done += gap;
            if (done == size)
                break;
            at = p->pos;
        }
        uint32_t off = at - p->pos;
        uint32_t part = p->len - off < size - done ? p->len - off : size - done;
        int rc = data_read_piece(d, p, off, part, out + done, sequential);
        if (rc < 0)
            return rc;
        done += part;
    }
    memset(out + done, 0, size - done);
    return 0;
}

static void pause_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* §7.12: a block that is missing or wrong may have gone by compaction, or not have come yet. */
static int read_in_chunk(struct data *d, meta_ino ino, uint32_t indx, uint32_t pos, uint32_t size, char *out,
                         bool sequential)
{
    for (unsigned attempt = 1;; attempt++) {
        struct data_chunk *chunk;
        int rc = data_chunk_get(d, ino, indx, &chunk);
        if (rc < 0)
            return rc;
        rc = read_chunk(d, chunk, pos, size, out, sequential);
        data_chunk_unref(chunk);
        if (rc == 0)
            return 0;
        if (rc != -ENOENT || attempt == LIMIT_DATA_READ_ATTEMPTS)
            return -EIO;
        data_chunk_forget(d, ino, indx);
        if (attempt > 1) /* at once, the first time: old lists are the usual cause */
            pause_ms(LIMIT_DATA_READ_PAUSE_MS << (attempt - 2));
    }
}

bool data_plan_read(struct data *d, meta_ino ino, uint64_t offset, size_t size, uint64_t asked_end)
{
    struct plan p = plan_read(d, ino, offset, size, asked_end);
    if (p.sequential && p.fetch_end > p.fetch_from)
        fetch_ahead(d, ino, p.fetch_from, p.fetch_end);
    return p.sequential;
}

ssize_t data_read(struct data *d, meta_ino ino, uint64_t offset, void *out, size_t size)
{
    if (size > SSIZE_MAX || offset > INT64_MAX || size > INT64_MAX - offset)
        return -EINVAL;
    bool sequential = data_plan_read(d, ino, offset, size, offset + size);
    for (size_t done = 0; done < size;) {
        uint64_t at = offset + done;
        uint32_t pos = (uint32_t)(at & (META_CHUNK_SIZE - 1));
        size_t part = META_CHUNK_SIZE - pos < size - done ? META_CHUNK_SIZE - pos : size - done;
        int rc = read_in_chunk(d, ino, (uint32_t)(at >> META_CHUNK_BITS), pos, (uint32_t)part, (char *)out + done,
                               sequential);
        if (rc < 0)
            return rc;
        done += part;
    }
    return (ssize_t)size;
}

void data_forget(struct data *d, meta_ino ino)
{
    data_chunk_forget_all(d, ino);
}
