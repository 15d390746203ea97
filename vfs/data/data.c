#include "vfs/data/data.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/data/data_internal.h"

/* How often old slices are looked for. */
#define AGER_PERIOD_MS 1000

static void *age_slices(void *arg)
{
    struct data *d = arg;
    mutex_lock(&d->writers_lock);
    while (!d->stopping) {
        (void)cond_wait_ms(&d->stop, &d->writers_lock, AGER_PERIOD_MS); /* looks at the clock either way */
        if (d->stopping)
            break;
        mutex_unlock(&d->writers_lock);
        data_writers_age(d, LIMIT_DATA_SLICE_AGE_MS);
        mutex_lock(&d->writers_lock);
    }
    mutex_unlock(&d->writers_lock);
    return NULL;
}

static double read_cache_bytes(void *data)
{
    struct data_budget b = data_cache_budget(((struct data *)data)->cache);
    return (double)(b.used[DATA_IDLE] + b.used[DATA_READ] + b.used[DATA_LENT]);
}

static double read_lent_bytes(void *data)
{
    return (double)data_cache_budget(((struct data *)data)->cache).used[DATA_LENT];
}

static double read_write_bytes(void *data)
{
    return (double)data_cache_budget(((struct data *)data)->cache).used[DATA_WRITE];
}

static double read_code_bytes(void *data)
{
    return (double)data_cache_budget(((struct data *)data)->cache).used[DATA_CODE];
}

static double read_max_bytes(void *data)
{
    return (double)data_cache_budget(((struct data *)data)->cache).max;
}

/* read false: they stop to be shown, since d goes. */
static void show_gauges(struct data *d, bool shown)
{
    metric_callback(METRIC_GAUGE, "sluice_data_cache_bytes", "", "Blocks in memory.", shown ? read_cache_bytes : NULL, d);
    metric_callback(METRIC_GAUGE, "sluice_data_lent_bytes", "", "Of the blocks in memory, those that are being sent to clients.",
                    shown ? read_lent_bytes : NULL, d);
    metric_callback(METRIC_GAUGE, "sluice_data_write_bytes", "", "Written bytes that are not uploaded yet, with their buffers.",
                    shown ? read_write_bytes : NULL, d);
    metric_callback(METRIC_GAUGE, "sluice_data_code_bytes", "", "Buffers of blocks being compressed, encrypted, merged.",
                    shown ? read_code_bytes : NULL, d);
    metric_callback(METRIC_GAUGE, "sluice_data_memory_limit_bytes", "", "Memory of blocks, writers and buffers together.",
                    shown ? read_max_bytes : NULL, d);
}

static void get_metrics(struct data *d)
{
    d->hits = metric_get(METRIC_COUNTER, "juicefs_blockcache_hits", "", "Pieces of blocks found in memory or on disk.");
    d->misses = metric_get(METRIC_COUNTER, "juicefs_blockcache_miss", "", "Pieces of blocks that came from the object store.");
    d->hit_bytes = metric_get(METRIC_COUNTER, "juicefs_blockcache_hit_bytes", "", "Their bytes, found in memory or on disk.");
    d->miss_bytes = metric_get(METRIC_COUNTER, "juicefs_blockcache_miss_bytes", "", "Their bytes, from the object store.");
    d->memory_hits = metric_get(METRIC_COUNTER, "sluice_data_cache_hits_total", "", "Pieces of blocks found in memory.");
    d->memory_misses = metric_get(METRIC_COUNTER, "sluice_data_cache_misses_total", "", "Pieces of blocks not found in memory.");
    d->disk_hits = metric_get(METRIC_COUNTER, "sluice_cache_disk_hits_total", "", "Blocks, or pieces of them, read from the cache on disk.");
    d->ranged = metric_get(METRIC_COUNTER, "sluice_data_ranged_reads_total", "", "Pieces read without the rest of their block.");
    d->read_ahead = metric_get(METRIC_COUNTER, "sluice_data_read_ahead_total", "", "Blocks asked for ahead of a reader.");
}

/* What is encrypted in the store is so on the disk. */
static struct disk_cache *start_disk(struct data *d, const struct vfs_cache_options *options, struct str volume)
{
    bool sealed = d->layout.codec.cipher != NULL;
    const struct disk_cache_source source = {
        .copy = data_copy_for_disk,
        .arg = d,
        .body_max = sealed ? (uint32_t)data_codec_bound(&d->layout.codec, d->layout.block_size) : d->layout.block_size,
        .form = sealed ? DISK_SEALED : DISK_PLAIN,
    };
    return disk_cache_start(options, volume, &source);
}

struct data *data_new(struct store *store, const struct data_source *source, const struct data_layout *layout,
                      const struct data_options *options, struct str volume)
{
    uint64_t memory = options->memory ? options->memory : LIMIT_DATA_MEMORY;
    struct data *d = calloc(1, sizeof(*d));
    CHECK(d != NULL && layout->block_size > 0 && META_CHUNK_SIZE % layout->block_size == 0);
    d->store = store;
    d->source = *source;
    d->layout = *layout;
    d->read_only = options->read_only;
    d->disk = start_disk(d, &options->disk, volume);
    d->write_wait_ms = options->write_wait_ms;
    /* With less, one block to read, one to write, and one to encode would be all there is. */
    uint64_t beside = disk_cache_memory(d->disk), least = LIMIT_DATA_BLOCKS_MIN * (uint64_t)layout->block_size;
    d->cache = data_cache_new(memory > beside + least ? memory - beside : least, layout->block_size);
    d->chunks = data_chunks_new();
    d->streams = data_streams_new();
    d->seen = data_seen_new();
    mutex_init(&d->writers_lock);
    cond_init(&d->stop);
    list_init(&d->writers);
    get_metrics(d);
    show_gauges(d, true);
    d->downloads = vfs_pool_start("download", options->downloads ? options->downloads : LIMIT_DATA_DOWNLOADS);
    if (!d->read_only) {
        d->uploads = vfs_pool_start("upload", options->uploads ? options->uploads : LIMIT_DATA_UPLOADS);
        thread_start(&d->ager, "data-ager", age_slices, d);
    }
    return d;
}

static void stop_writing(struct data *d)
{
    mutex_lock(&d->writers_lock);
    CHECK(list_empty(&d->writers));
    d->stopping = true;
    cond_signal(&d->stop);
    mutex_unlock(&d->writers_lock);
    CHECK(pthread_join(d->ager, NULL) == 0);
    vfs_pool_stop(d->uploads);
}

void data_close(struct data *d)
{
    if (!d)
        return;
    if (!d->read_only)
        stop_writing(d);
    vfs_pool_stop(d->downloads);
    disk_cache_stop(d->disk);
    show_gauges(d, false);
    cond_done(&d->stop);
    mutex_done(&d->writers_lock);
    data_streams_free(d->streams);
    data_seen_free(d->seen);
    data_chunks_free(d->chunks);
    data_cache_free(d->cache);
    data_cipher_free(d->layout.codec.cipher);
    free(d);
}

/* Slices as a whole */

int data_delete_slice(struct data *d, uint64_t id, uint32_t size)
{
    if (d->read_only)
        return -EROFS;
    if (id == 0 || size > META_CHUNK_SIZE)
        return -EINVAL;
    return data_delete_blocks(d, id, size);
}

/* The bytes [from, from+size) of what the pieces are together. */
static int gather(struct data *d, const struct meta_slice *pieces, size_t count, uint32_t from, uint32_t size, char *out)
{
    uint64_t start = 0;
    for (size_t i = 0; i < count && size > 0; start += pieces[i].len, i++) {
        if (from >= start + pieces[i].len)
            continue;
        uint32_t off = (uint32_t)(from - start);
        uint32_t part = pieces[i].len - off < size ? pieces[i].len - off : size;
        int rc = data_read_piece(d, &pieces[i], off, part, out, true);
        if (rc < 0)
            return rc == -ENOENT ? -EIO : rc;
        from += part;
        out += part;
        size -= part;
    }
    CHECK(size == 0);
    return 0;
}

/* The memory is not of the writers' share, and taken at once: a commit that finds a list too long has it merged by the thread that
 * uploads, which would wait for memory that its own queue holds. */
static int copy_blocks(struct data *d, const struct meta_slice *pieces, size_t count, uint64_t new_id, uint32_t total)
{
    const uint64_t memory = d->layout.block_size + data_encode_extra(d, d->layout.block_size);
    data_cache_take_waiting(d->cache, DATA_CODE, memory);
    char *bytes = malloc(d->layout.block_size);
    CHECK(bytes != NULL); /* out of memory */
    int rc = 0;
    for (uint32_t at = 0; at < total && rc == 0;) {
        struct block_id id = block_at(new_id, total, at, d->layout.block_size);
        rc = gather(d, pieces, count, at, id.size, bytes);
        if (rc == 0)
            rc = data_put_block(d, &id, bytes);
        at += id.size;
    }
    free(bytes);
    data_cache_give(d->cache, DATA_CODE, memory);
    return rc;
}

int data_merge_slices(struct data *d, const struct meta_slice *pieces, size_t count, uint64_t new_id)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].len;
    if (d->read_only)
        return -EROFS;
    if (new_id == 0 || total == 0 || total > META_CHUNK_SIZE)
        return -EINVAL;
    int rc = copy_blocks(d, pieces, count, new_id, (uint32_t)total);
    if (rc < 0)
        data_delete_blocks(d, new_id, (uint32_t)total);
    return rc;
}

int data_put_object(struct store *store, const struct data_layout *layout, struct str key, struct str body)
{
    if (!layout->codec.cipher)
        return store_put(store, key, body);
    char *sealed = malloc(body.len + data_cipher_overhead(layout->codec.cipher));
    CHECK(sealed != NULL); /* out of memory */
    size_t size = data_cipher_seal(layout->codec.cipher, body, sealed);
    int rc = store_put(store, key, str_of(sealed, size));
    free(sealed);
    return rc;
}
