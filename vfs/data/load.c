#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/limits.h"
#include "vfs/data/data_internal.h"

/* Reading. A block that is shorter or longer than its key says, or does not decode, is -EIO to readers. */

static int get_plain(struct store *store, struct str key, const struct block_id *id, char *out)
{
    size_t size;
    int rc = store_get(store, key, out, id->size, &size);
    return rc < 0 ? rc : size == id->size ? 0 : -EBADMSG;
}

static int get_encoded(struct store *store, const struct data_codec *codec, struct str key, const struct block_id *id,
                       char *out)
{
    size_t bound = data_codec_bound(codec, id->size), size;
    char *object = malloc(bound);
    CHECK(object != NULL); /* out of memory */
    int rc = store_get(store, key, object, bound, &size);
    if (rc == 0)
        rc = data_codec_decode(codec, object, size, out, id->size);
    free(object);
    return rc;
}

int data_get_block(struct store *store, const struct data_layout *layout, const struct block_id *id, char *out)
{
    char memory[BLOCK_KEY_MAX];
    struct str key = block_key(id, layout->hash_prefix, memory);
    int rc = data_codec_is_plain(&layout->codec) ? get_plain(store, key, id, out)
                                                 : get_encoded(store, &layout->codec, key, id, out);
    return rc == -EFBIG ? -EBADMSG : rc;
}

static int load_from_store(struct data *d, const struct block_id *id, char *out)
{
    int rc = fault_point("data.load");
    if (rc == 0)
        rc = data_get_block(d->store, &d->layout, id, out);
    return rc == -EBADMSG ? -EIO : rc;
}

/* -ENOENT: not to be had from the disk. */
static int load_from_disk(struct data *d, const struct block_id *id, char *out)
{
    if (!d->disk)
        return -ENOENT;
    if (!d->layout.codec.cipher)
        return disk_cache_read(d->disk, id, 0, id->size, out);
    size_t bound = data_codec_bound(&d->layout.codec, id->size), size;
    char *object = malloc(bound);
    CHECK(object != NULL); /* out of memory */
    int rc = disk_cache_read_body(d->disk, id, object, bound, &size);
    if (rc == 0 && data_codec_decode(&d->layout.codec, object, size, out, id->size) < 0) {
        (void)disk_cache_remove(d->disk, id); /* another key's, if it is there still */
        rc = -ENOENT;
    }
    free(object);
    return rc;
}

struct load_call {
    struct data *data;
    bool from_store; /* said by the load, where there was one */
};

static int load(void *arg, const struct block_id *id, char *out)
{
    struct load_call *call = arg;
    struct data *d = call->data;
    if (load_from_disk(d, id, out) == 0) {
        metric_add(d->disk_hits, 1);
        return 0;
    }
    call->from_store = true;
    int rc = load_from_store(d, id, out);
    if (rc == 0 && d->disk)
        disk_cache_offer(d->disk, id);
    return rc;
}

/* What is compressed, and what is encrypted of it. */
uint64_t data_encode_extra(const struct data *d, uint32_t size)
{
    if (data_codec_is_plain(&d->layout.codec))
        return 0;
    return data_codec_bound(&d->layout.codec, size) * (d->layout.codec.cipher ? 2 : 1);
}

int data_copy_for_disk(void *arg, const struct block_id *id, char *out, uint32_t *out_size)
{
    struct data *d = arg;
    struct cached_block *b = data_cache_find(d->cache, id);
    if (!b)
        return -ENOENT;
    if (!d->layout.codec.cipher) {
        memcpy(out, cached_block_bytes(b), id->size);
        *out_size = id->size;
    } else {
        char *object;
        size_t size;
        if (!data_cache_take(d->cache, DATA_CODE, data_encode_extra(d, id->size))) {
            data_cache_release(d->cache, b);
            return -ENOENT;
        }
        data_codec_encode(&d->layout.codec, str_of(cached_block_bytes(b), id->size), &object, &size);
        data_cache_give(d->cache, DATA_CODE, data_encode_extra(d, id->size));
        memcpy(out, object, size);
        *out_size = (uint32_t)size;
        free(object);
    }
    cached_block_used(b, id->size);
    data_cache_release(d->cache, b);
    return 0;
}

static uint64_t load_extra(const struct data *d, const struct block_id *id)
{
    return data_codec_is_plain(&d->layout.codec) ? 0 : data_codec_bound(&d->layout.codec, id->size);
}

static int load_range(struct data *d, const struct block_id *id, uint32_t from, uint32_t size, char *out)
{
    char memory[BLOCK_KEY_MAX];
    size_t got;
    int rc = store_get_range(d->store, block_key(id, d->layout.hash_prefix, memory), from, out, size, &got);
    if (rc < 0)
        return rc;
    metric_add(d->ranged, 1);
    return got == size ? 0 : -EIO;
}

/* Whether a piece should not bring its block into memory. As with the official client one from the middle of a block,
 * with no more of it to be read soon; blocks begun at their first byte are mostly read on. When memory is short, all
 * small ones: the rest of the block would be gone before it is asked for. */
static bool is_alone(const struct data *d, const struct block_id *id, uint32_t from, uint32_t size, bool sequential)
{
    return size <= id->size / 4 && ((!sequential && from > 0) || data_cache_is_pressed(d->cache));
}

/* A piece alone, from the disk or from the store; -EAGAIN: it cannot be had so. */
static int load_piece(struct data *d, const struct block_id *id, uint32_t from, uint32_t size, char *out,
                      bool *out_from_store)
{
    if (d->disk && !d->layout.codec.cipher && disk_cache_read(d->disk, id, from, size, out) == 0) {
        metric_add(d->disk_hits, 1);
        *out_from_store = false;
        return 0;
    }
    if (!data_codec_is_plain(&d->layout.codec))
        return -EAGAIN;
    if (d->disk)
        data_prefetch(d, id); /* the next ones are to come from the disk */
    *out_from_store = true;
    return load_range(d, id, from, size, out);
}

static int load_and_hold(struct data *d, const struct block_id *id, struct cached_block **out, bool *out_from_store)
{
    struct load_call call = {d, false};
    const struct data_cache_load how = {.load = load, .arg = &call, .extra = load_extra(d, id)};
    int rc = data_cache_hold(d->cache, id, &how, out);
    *out_from_store = call.from_store;
    return rc;
}

static void copy_and_release(struct data *d, struct cached_block *b, uint32_t from, uint32_t size, char *out)
{
    memcpy(out, cached_block_bytes(b) + from, size);
    cached_block_used(b, size);
    data_cache_release(d->cache, b);
}

static void count_read(struct data *d, uint32_t size, bool from_store)
{
    metric_add(from_store ? d->misses : d->hits, 1);
    metric_add(from_store ? d->miss_bytes : d->hit_bytes, size);
}

int data_load_bytes(struct data *d, const struct block_id *id, uint32_t from, uint32_t size, char *out, bool sequential)
{
    CHECK(from + size <= id->size);
    struct cached_block *b = data_cache_find(d->cache, id);
    metric_add(b ? d->memory_hits : d->memory_misses, 1);
    bool from_store = false;
    int rc = -EAGAIN;
    if (b) {
        copy_and_release(d, b, from, size, out);
        rc = 0;
    } else if (is_alone(d, id, from, size, sequential)) {
        rc = load_piece(d, id, from, size, out, &from_store);
    }
    if (rc == -EAGAIN) {
        rc = load_and_hold(d, id, &b, &from_store);
        if (rc == 0)
            copy_and_release(d, b, from, size, out);
    }
    if (rc == 0)
        count_read(d, size, from_store);
    return rc;
}

int data_hold_block(struct data *d, const struct block_id *id, uint32_t size, struct cached_block **out)
{
    bool from_store = false;
    struct cached_block *b = data_cache_find(d->cache, id);
    metric_add(b ? d->memory_hits : d->memory_misses, 1);
    int rc = b ? 0 : load_and_hold(d, id, &b, &from_store);
    if (rc < 0)
        return rc;
    cached_block_used(b, size);
    count_read(d, size, from_store);
    *out = b;
    return 0;
}

int data_read_piece(struct data *d, const struct meta_slice *piece, uint32_t off, uint32_t size, char *out,
                    bool sequential)
{
    CHECK(off + size <= piece->len);
    if (piece->id == 0) {
        memset(out, 0, size);
        return 0;
    }
    uint32_t block_size = d->layout.block_size;
    for (uint32_t done = 0; done < size;) {
        uint32_t at = piece->off + off + done;
        struct block_id id = block_at(piece->id, piece->size, at, block_size);
        uint32_t from = at % block_size;
        uint32_t part = id.size - from < size - done ? id.size - from : size - done;
        int rc = data_load_bytes(d, &id, from, part, out + done, sequential);
        if (rc < 0)
            return rc;
        done += part;
    }
    return 0;
}

/* Read-ahead: the block is in the cache when it comes to reading it, or not: nobody waits for it here. */

struct prefetch {
    struct vfs_job job;
    struct data *data;
    struct block_id id;
};

static void run_prefetch(struct vfs_job *job)
{
    struct prefetch *p = container_of(job, struct prefetch, job);
    struct data *d = p->data;
    struct load_call call = {d, false};
    const struct data_cache_load how = {.load = load, .arg = &call, .extra = load_extra(d, &p->id), .ahead = true};
    struct cached_block *b;
    if (!data_cache_has(d->cache, &p->id) && data_cache_hold(d->cache, &p->id, &how, &b) == 0)
        data_cache_release(d->cache, b);
    free(p);
}

void data_prefetch(struct data *d, const struct block_id *id)
{
    if (data_cache_is_pressed(d->cache) || data_cache_has(d->cache, id) ||
        vfs_pool_depth(d->downloads) >= LIMIT_DATA_READAHEAD_QUEUE)
        return;
    struct prefetch *p = calloc(1, sizeof(*p));
    CHECK(p != NULL); /* out of memory */
    p->job.run = run_prefetch;
    p->data = d;
    p->id = *id;
    metric_add(d->read_ahead, 1);
    vfs_pool_submit(d->downloads, &p->job);
}

/* Writing */

int data_put_block(struct data *d, const struct block_id *id, const char *bytes)
{
    char memory[BLOCK_KEY_MAX];
    struct str key = block_key(id, d->layout.hash_prefix, memory), block = str_of(bytes, id->size);
    int rc = fault_point("data.store");
    if (rc < 0)
        return rc;
    if (data_codec_is_plain(&d->layout.codec))
        return store_put(d->store, key, block);
    char *object;
    size_t size;
    data_codec_encode(&d->layout.codec, block, &object, &size);
    rc = store_put(d->store, key, str_of(object, size));
    free(object);
    return rc;
}

int data_store_block(struct data *d, const struct block_id *id, const char *bytes)
{
    const uint64_t extra = data_encode_extra(d, id->size);
    if (extra > 0)
        data_cache_take_waiting(d->cache, DATA_CODE, extra);
    int rc = data_put_block(d, id, bytes);
    if (extra > 0)
        data_cache_give(d->cache, DATA_CODE, extra);
    return rc;
}

int data_delete_blocks(struct data *d, uint64_t slice, uint32_t size)
{
    int result = 0;
    for (uint32_t i = 0; i < block_count(size, d->layout.block_size); i++) {
        struct block_id id = block_at(slice, size, i * d->layout.block_size, d->layout.block_size);
        char memory[BLOCK_KEY_MAX];
        data_cache_drop(d->cache, &id);
        if (d->disk)
            (void)disk_cache_remove(d->disk, &id); /* there or not */
        int rc = store_delete(d->store, block_key(&id, d->layout.hash_prefix, memory));
        if (rc < 0 && result == 0)
            result = rc;
        if (rc == -EIO)
            break; /* the store is in trouble: no use in waiting for each block */
    }
    return result;
}
