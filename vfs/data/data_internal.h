/* What the files of vfs/data share.
 *
 * Lock order: the list of writers, then a writer; all others are leaves. No lock is held over a call of the store or the
 * metadata. Thread: any. */
#ifndef VFS_DATA_DATA_INTERNAL_H
#define VFS_DATA_DATA_INTERNAL_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "vfs/data/cache.h"
#include "vfs/data/codec.h"
#include "vfs/data/data.h"
#include "vfs/data/disk_cache.h"
#include "vfs/pool.h"

/* The metadata as data uses it; what each does stands in vfs/meta/meta.h. Tests put their own here. */
struct data_source {
    void *arg;
    int (*read_chunk)(void *arg, meta_ino ino, uint32_t indx, struct meta_slice **out, size_t *out_count);
    int (*new_slice)(void *arg, uint64_t *out_id);
    int (*write_slice)(void *arg, meta_ino ino, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                       const struct timespec *mtime);
    struct meta_stamp (*stamp)(void *arg);
};

struct data_layout {
    uint32_t block_size;
    bool hash_prefix;
    struct data_codec codec; /* becomes the data's */
};

struct data_chunks;
struct data_streams;
struct data_seen;

struct data {
    struct store *store;
    struct data_source source;
    struct data_layout layout;
    bool read_only;
    struct data_cache *cache; /* and all other memory */
    uint64_t write_wait_ms;
    struct disk_cache *disk; /* NULL: none */
    struct data_chunks *chunks;
    struct data_streams *streams;
    struct data_seen *seen;
    struct vfs_pool *uploads, *downloads;
    struct metric *hits, *misses, *hit_bytes, *miss_bytes, *memory_hits, *memory_misses, *disk_hits, *ranged, *read_ahead;

    struct mutex writers_lock; /* guards what follows */
    struct list writers;
    bool stopping;
    struct cond stop; /* wakes the thread that closes old slices */
    pthread_t ager;
};

/* -EINVAL or -ENOTSUP with a sentence. */
MUST_USE int data_layout_of(const struct meta_settings *s, struct data_layout *out, const char **out_error);
/* Encrypted when the layout says so. */
MUST_USE int data_put_object(struct store *store, const struct data_layout *layout, struct str key, struct str body);
/* Takes the layout's cipher. volume: the UUID, under which the cache on disk is. */
struct data *data_new(struct store *store, const struct data_source *source, const struct data_layout *layout,
                      const struct data_options *options, struct str volume);

/* load.c: blocks and the store */
/* From the store alone; -EBADMSG: what is there is not that block. */
MUST_USE int data_get_block(struct store *store, const struct data_layout *layout, const struct block_id *id, char *out);
MUST_USE int data_load_bytes(struct data *d, const struct block_id *id, uint32_t from, uint32_t size, char *out,
                             bool sequential);
/* The block, held until data_cache_release, with all of it loaded. `size` bytes of it are about to be used. */
MUST_USE int data_hold_block(struct data *d, const struct block_id *id, uint32_t size, struct cached_block **out);
void data_prefetch(struct data *d, const struct block_id *id);
MUST_USE int data_store_block(struct data *d, const struct block_id *id, const char *bytes);
/* As data_store_block, by who has the memory that encoding takes beside the block. */
MUST_USE int data_put_block(struct data *d, const struct block_id *id, const char *bytes);
uint64_t data_encode_extra(const struct data *d, uint32_t size);
/* A block in memory in the form in which it is cached on disk (disk_source_fn; arg is the data). */
MUST_USE int data_copy_for_disk(void *arg, const struct block_id *id, char *out, uint32_t *out_size);
/* The first error; after -EIO of the store no more are tried. Blocks that stay are found by gc, so that some callers do not mind. */
int data_delete_blocks(struct data *d, uint64_t slice, uint32_t size);
/* Bytes [off, off+size) of a piece, from its own beginning. */
MUST_USE int data_read_piece(struct data *d, const struct meta_slice *piece, uint32_t off, uint32_t size, char *out,
                             bool sequential);

/* chunks.c: resolved chunks that are remembered: for a moment, or until the metadata changes, if it tells */
struct data_chunks *data_chunks_new(void);
void data_chunks_free(struct data_chunks *c);
/* Shared and immutable. */
struct data_chunk {
    atomic_uint refs;
    size_t count;
    struct meta_slice *pieces;
};
MUST_USE int data_chunk_get(struct data *d, meta_ino ino, uint32_t indx, struct data_chunk **out);
/* Only if it is remembered: else NULL. */
struct data_chunk *data_chunk_peek(struct data *d, meta_ino ino, uint32_t indx);
void data_chunk_unref(struct data_chunk *c);
void data_chunk_forget(struct data *d, meta_ino ino, uint32_t indx);
void data_chunk_forget_all(struct data *d, meta_ino ino);

/* seen.c */
struct data_seen *data_seen_new(void);
void data_seen_free(struct data_seen *s);

/* read.c */
struct data_streams *data_streams_new(void);
void data_streams_free(struct data_streams *s);
/* A read of [offset, offset+size), the first of those of [offset, asked_end), is about to begin: starts loading what is likely to be
 * read after it. Whether it is one of a sequence. */
bool data_plan_read(struct data *d, meta_ino ino, uint64_t offset, size_t size, uint64_t asked_end);

/* write.c */
/* Closes and uploads slices that are older than age_ms. */
void data_writers_age(struct data *d, uint64_t age_ms);
/* Closes the slice, of all writers, that has waited the longest for more. */
void data_writers_relieve(struct data *d);

#endif
