#include "vfs/data/disk_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "base/mutex.h"

#define TEND_PERIOD_MS 1000

struct shelf {
    struct disk_cache *cache;
    struct disk_dir *dir;
    uint64_t seed; /* of the choice of folders */
    struct disk_writer writer;
    pthread_t thread;

    struct mutex lock; /* guards what follows */
    struct cond wake;
    struct block_id queue[LIMIT_DISK_CACHE_QUEUE];
    uint32_t head, count;
    bool stopping;
};

struct disk_cache {
    struct disk_cache_source source;
    struct metric *writes, *write_bytes, *drops;
    size_t count;
    struct shelf *shelves[LIMIT_DISK_CACHE_DIRS];
};

/* Which folder a block is in: the one with the highest draw. Adding a disk moves only what the new one wins. Must be
 * the same in all processes. */

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static uint64_t seed_of(struct str path)
{
    uint8_t out[DIGEST_SIZE_MAX];
    uint64_t seed;
    digest_bytes(DIGEST_SHA256, path, out);
    memcpy(&seed, out, sizeof(seed));
    return seed;
}

static struct shelf *shelf_of(struct disk_cache *c, const struct block_id *id)
{
    struct shelf *best = c->shelves[0];
    uint64_t block = mix(id->slice + ((uint64_t)id->index << 40)), highest = 0;
    for (size_t i = 0; c->count > 1 && i < c->count; i++) {
        uint64_t draw = mix(block ^ c->shelves[i]->seed);
        if (draw >= highest) {
            highest = draw;
            best = c->shelves[i];
        }
    }
    return best;
}

/* Writing */

static void write_block(struct shelf *s, const struct block_id *id)
{
    struct disk_cache *c = s->cache;
    uint32_t size;
    if (disk_dir_has(s->dir, id))
        return;
    if (c->source.copy(c->source.arg, id, s->writer.file, &size) < 0 || disk_cache_put(c, &s->writer, id, size) < 0)
        metric_add(c->drops, 1);
}

/* Waits until there is something to do. False: a tick is due, or it is time to stop. */
static bool next_block(struct shelf *s, uint64_t tick_ms, struct block_id *out)
{
    mutex_lock(&s->lock);
    uint64_t now_ms = clock_mono_ms();
    while (s->count == 0 && !s->stopping && now_ms < tick_ms) {
        (void)cond_wait_ms(&s->wake, &s->lock, tick_ms - now_ms); /* looks at all of it again either way */
        now_ms = clock_mono_ms();
    }
    bool found = s->count > 0 && !s->stopping && now_ms < tick_ms;
    if (found) {
        *out = s->queue[s->head];
        s->head = (s->head + 1) % LIMIT_DISK_CACHE_QUEUE;
        s->count--;
    }
    mutex_unlock(&s->lock);
    return found;
}

static bool is_stopping(struct shelf *s)
{
    mutex_lock(&s->lock);
    bool stopping = s->stopping;
    mutex_unlock(&s->lock);
    return stopping;
}

static void *shelf_main(void *arg)
{
    struct shelf *s = arg;
    uint64_t tick_ms = clock_mono_ms();
    while (!is_stopping(s)) {
        struct block_id id;
        if (next_block(s, tick_ms, &id)) {
            write_block(s, &id);
        } else if (clock_mono_ms() >= tick_ms) {
            disk_dir_tend(s->dir);
            tick_ms = clock_mono_ms() + TEND_PERIOD_MS;
        }
    }
    return NULL;
}

void disk_cache_offer(struct disk_cache *c, const struct block_id *id)
{
    struct shelf *s = shelf_of(c, id);
    bool taken = false;
    mutex_lock(&s->lock);
    if (s->count < LIMIT_DISK_CACHE_QUEUE && disk_dir_state(s->dir) == DISK_ON) {
        s->queue[(s->head + s->count++) % LIMIT_DISK_CACHE_QUEUE] = *id;
        taken = true;
        cond_signal(&s->wake);
    }
    mutex_unlock(&s->lock);
    if (!taken)
        metric_add(c->drops, 1);
}

int disk_cache_put(struct disk_cache *c, struct disk_writer *w, const struct block_id *id, uint32_t body)
{
    int rc = disk_dir_put(shelf_of(c, id)->dir, w, id, body);
    if (rc == 0) {
        metric_add(c->writes, 1);
        metric_add(c->write_bytes, body);
    }
    return rc;
}

/* Reading */

int disk_cache_read(struct disk_cache *c, const struct block_id *id, uint32_t from, uint32_t size, char *out)
{
    return disk_dir_read(shelf_of(c, id)->dir, id, from, size, out);
}

int disk_cache_read_body(struct disk_cache *c, const struct block_id *id, char *out, size_t capacity, size_t *out_size)
{
    return disk_dir_read_body(shelf_of(c, id)->dir, id, out, capacity, out_size);
}

bool disk_cache_has(struct disk_cache *c, const struct block_id *id)
{
    return disk_dir_has(shelf_of(c, id)->dir, id);
}

bool disk_cache_remove(struct disk_cache *c, const struct block_id *id)
{
    return disk_dir_remove(shelf_of(c, id)->dir, id);
}

/* Metrics */

static double read_bytes(void *data)
{
    struct disk_cache *c = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < c->count; i++)
        sum += disk_dir_usage(c->shelves[i]->dir).bytes;
    return (double)sum;
}

static double read_blocks(void *data)
{
    struct disk_cache *c = data;
    uint64_t sum = 0;
    for (size_t i = 0; i < c->count; i++)
        sum += disk_dir_usage(c->shelves[i]->dir).items;
    return (double)sum;
}

static double read_disks_off(void *data)
{
    struct disk_cache *c = data;
    unsigned sum = 0;
    for (size_t i = 0; i < c->count; i++)
        sum += disk_dir_state(c->shelves[i]->dir) != DISK_ON;
    return (double)sum;
}

static void show_gauges(struct disk_cache *c, bool shown)
{
    metric_callback(METRIC_GAUGE, "juicefs_blockcache_bytes", "", "Bytes of the cache on disk.",
                    shown ? read_bytes : NULL, c);
    metric_callback(METRIC_GAUGE, "juicefs_blockcache_blocks", "", "Blocks of the cache on disk.",
                    shown ? read_blocks : NULL, c);
    metric_callback(METRIC_GAUGE, "sluice_cache_disks_off", "", "Cache disks that are switched off, or full.",
                    shown ? read_disks_off : NULL, c);
}

/* Starting */

static struct shelf *start_shelf(struct disk_cache *c, const struct disk_dir_options *options)
{
    struct shelf *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    char *file = malloc(disk_file_size(c->source.body_max));
    CHECK(file != NULL); /* out of memory */
    s->cache = c;
    s->dir = disk_dir_new(options);
    s->seed = seed_of(options->path);
    disk_writer_init(&s->writer, file);
    mutex_init(&s->lock);
    cond_init(&s->wake);
    return s;
}

static void stop_shelf(struct shelf *s)
{
    mutex_lock(&s->lock);
    s->stopping = true;
    cond_signal(&s->wake);
    mutex_unlock(&s->lock);
    CHECK(pthread_join(s->thread, NULL) == 0);
    disk_writer_done(&s->writer);
    disk_dir_free(s->dir);
    cond_done(&s->wake);
    mutex_done(&s->lock);
    free(s->writer.file);
    free(s);
}

/* Folders without empty ones and slashes at the end. */
static size_t split_dirs(struct str dirs, struct str out[LIMIT_DISK_CACHE_DIRS])
{
    size_t count = 0;
    struct str dir;
    while (count < LIMIT_DISK_CACHE_DIRS && str_split(&dirs, ':', &dir)) {
        while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
            dir.len--;
        if (dir.len > 0)
            out[count++] = dir;
    }
    return count;
}

struct disk_cache *disk_cache_start(const struct vfs_cache_options *options, struct str volume,
                                    const struct disk_cache_source *source)
{
    struct str dirs[LIMIT_DISK_CACHE_DIRS];
    size_t count = options->dirs && options->bytes_max > 0 ? split_dirs(str_z(options->dirs), dirs) : 0;
    if (count == 0)
        return NULL;
    struct disk_cache *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && source->body_max <= DISK_BODY_MAX);
    c->source = *source;
    c->writes = metric_get(METRIC_COUNTER, "juicefs_blockcache_writes", "", "Blocks written to the cache on disk.");
    c->write_bytes =
        metric_get(METRIC_COUNTER, "juicefs_blockcache_write_bytes", "", "Bytes written to the cache on disk.");
    c->drops = metric_get(METRIC_COUNTER, "juicefs_blockcache_drops", "",
                          "Blocks not written to the cache on disk, because it was behind, full or off.");
    for (size_t i = 0; i < count; i++) {
        const struct disk_dir_options one = {
            .path = dirs[i],
            .volume = volume,
            .bytes_max = options->bytes_max / count,
            .items_max = options->items_max / count + (options->items_max % count != 0),
            .free_min = options->free_min,
            .mode = options->mode ? (unsigned)options->mode : 0600,
            .form = source->form,
        };
        c->shelves[c->count++] = start_shelf(c, &one);
    }
    for (size_t i = 0; i < count; i++)
        thread_start(&c->shelves[i]->thread, "cache-disk", shelf_main, c->shelves[i]);
    show_gauges(c, true);
    return c;
}

void disk_cache_stop(struct disk_cache *c)
{
    if (!c)
        return;
    show_gauges(c, false);
    for (size_t i = 0; i < c->count; i++)
        stop_shelf(c->shelves[i]);
    free(c);
}

uint64_t disk_cache_memory(const struct disk_cache *c)
{
    return c ? c->count * (sizeof(struct shelf) + disk_file_size(c->source.body_max)) : 0;
}
