/* Looking for the blocks of slices. Slices are taken in groups whose blocks share a folder of the store, or 256 of them with a hash
 * prefix: a folder is listed once instead of asking for each block. */
#include "vfs/data/scrub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/random.h"
#include "vfs/data/scrub_internal.h"

/* Ids of a folder (format §2.1). */
#define FOLDER_IDS 1000
#define HASHED_IDS (1000 * 1000)
#define HASHES 256
#define PPM 1000000

int data_scrub_open(struct store *store, const struct meta_settings *settings, uint32_t threads, struct job *job,
                    struct data_scrub **out, const char **out_error)
{
    struct data_layout layout;
    int rc = data_layout_of(settings, &layout, out_error);
    if (rc < 0)
        return rc;
    struct data_scrub *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    s->store = store;
    s->layout = layout;
    s->threads = threads ? threads : LIMIT_DATA_CHECKERS;
    s->job = job;
    *out = s;
    return 0;
}

void data_scrub_close(struct data_scrub *s)
{
    if (!s)
        return;
    data_cipher_free(s->layout.codec.cipher);
    free(s);
}

struct str data_scrub_key(const struct data_scrub *s, const struct block_id *b, char out[BLOCK_KEY_MAX])
{
    return block_key(b, s->layout.hash_prefix, out);
}

/* Threads */

int scrub_go_on(struct scrub_work *w)
{
    return job_stopped(w->scrub->job) ? -ECANCELED : w->error;
}

static void *run_thread(void *arg)
{
    struct scrub_work *w = arg;
    int rc = w->fn(w), none = 0;
    if (rc < 0)
        (void)atomic_compare_exchange_strong(&w->error, &none, rc); /* the first one stays */
    return NULL;
}

int scrub_run(struct scrub_work *w)
{
    uint32_t count = w->scrub->threads;
    pthread_t *threads = calloc(count, sizeof(*threads));
    CHECK(threads != NULL); /* out of memory */
    mutex_init(&w->lock);
    w->error = 0;
    for (uint32_t i = 0; i < count; i++)
        thread_start(&threads[i], "scrub", run_thread, w);
    for (uint32_t i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    mutex_done(&w->lock);
    free(threads);
    return w->error;
}

/* One block */

static bool can_have_size(const struct data_layout *l, uint32_t plain, uint64_t stored)
{
    const struct data_codec *c = &l->codec;
    if (c->compression == COMPRESS_NONE)
        return stored == plain + (c->cipher ? data_cipher_overhead(c->cipher) : 0);
    return stored > 0 && stored <= data_codec_bound(c, plain);
}

static int verify_block(struct data_scrub *s, const struct block_id *b)
{
    char *bytes = malloc(b->size);
    CHECK(bytes != NULL); /* out of memory */
    int rc = data_get_block(s->store, &s->layout, b, bytes);
    free(bytes);
    return rc;
}

int data_check_block(struct data_scrub *s, const struct block_id *b, bool verify)
{
    char memory[BLOCK_KEY_MAX];
    struct store_object object;
    if (verify)
        return verify_block(s, b);
    int rc = store_head(s->store, data_scrub_key(s, b, memory), &object);
    return rc < 0 ? rc : can_have_size(&s->layout, b->size, object.size) ? 0 : -EMSGSIZE;
}

int data_delete_block(struct data_scrub *s, const struct block_id *b)
{
    char memory[BLOCK_KEY_MAX];
    return store_delete(s->store, data_scrub_key(s, b, memory));
}

/* All blocks */

struct wanted {
    uint64_t id;
    uint32_t size;
    uint32_t found; /* blocks that a listing showed to be as they should */
};

struct checking {
    struct scrub_work work; /* its lock guards next and result */
    const struct meta_mentions *mentions;
    struct data_check_options options;
    struct data_check_result result;
    uint64_t next; /* mention */
};

struct group {
    struct checking *c;
    struct wanted *slices; /* ascending */
    size_t count;
};

static bool is_chosen(const struct data_check_options *o, uint64_t id)
{
    return o->sample_ppm == 0 || hash_bytes(str_of((const char *)&id, sizeof(id))) % PPM < o->sample_ppm;
}

/* Mentions [*from, *to) of ids that share folders; empty at the end. */
static int next_group(struct checking *c, uint64_t *from, uint64_t *to)
{
    uint64_t all = meta_mentions_count(c->mentions), ids = c->work.scrub->layout.hash_prefix ? HASHED_IDS : FOLDER_IDS;
    struct meta_mention first;
    int rc = 0;
    mutex_lock(&c->work.lock);
    *from = *to = c->next;
    if (c->next < all) {
        rc = meta_mentions_read(c->mentions, c->next, 1, &first);
        if (rc == 0)
            rc = meta_mentions_seek(c->mentions, (first.id / ids + 1) * ids, to);
        if (rc == 0)
            c->next = *to;
    }
    mutex_unlock(&c->work.lock);
    return rc;
}

static int load_group(struct checking *c, uint64_t from, uint64_t to, struct group *g)
{
    struct meta_mention page[FOLDER_IDS];
    *g = (struct group){.c = c, .slices = calloc((size_t)(to - from) + 1, sizeof(*g->slices))};
    CHECK(g->slices != NULL); /* out of memory */
    for (uint64_t at = from; at < to;) {
        size_t count = to - at < FOLDER_IDS ? (size_t)(to - at) : FOLDER_IDS;
        int rc = meta_mentions_read(c->mentions, at, count, page);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < count; i++)
            if (page[i].needed && page[i].size > 0 && page[i].size <= META_CHUNK_SIZE && is_chosen(&c->options, page[i].id))
                g->slices[g->count++] = (struct wanted){.id = page[i].id, .size = page[i].size};
        at += count;
    }
    return 0;
}

static struct wanted *wanted_of(const struct group *g, uint64_t id)
{
    size_t low = 0, high = g->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->slices[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < g->count && g->slices[low].id == id ? &g->slices[low] : NULL;
}

static uint32_t blocks_of(const struct group *g, const struct wanted *w)
{
    return block_count(w->size, g->c->work.scrub->layout.block_size);
}

static struct block_id block_of(const struct group *g, const struct wanted *w, uint32_t index)
{
    uint32_t block_size = g->c->work.scrub->layout.block_size;
    return block_at(w->id, w->size, index * block_size, block_size);
}

static int tell(struct checking *c, const struct block_id *b, int error)
{
    mutex_lock(&c->work.lock);
    int rc = c->options.fn(c->options.arg, b, error);
    mutex_unlock(&c->work.lock);
    return rc;
}

/* One by one: what a listing did not show, or everything where none was made. */
static int check_each(struct group *g, const struct wanted *w)
{
    struct checking *c = g->c;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < blocks_of(g, w); i++) {
        struct block_id b = block_of(g, w, i);
        int r = data_check_block(c->work.scrub, &b, c->options.verify);
        rc = scrub_go_on(&c->work);
        if (rc == 0 && r < 0)
            rc = tell(c, &b, r);
        job_add(c->work.scrub->job, 1);
    }
    return rc;
}

static int list_folder(struct group *g, struct str prefix)
{
    struct data_scrub *s = g->c->work.scrub;
    CLEANUP(store_scan_closep) struct store_scan *scan = store_scan_open(s->store, prefix, STR_EMPTY);
    struct store_object object;
    int rc;
    while ((rc = store_scan_next(scan, &object)) == 1) {
        struct block_id b;
        struct wanted *w = block_parse(object.key, s->layout.hash_prefix, &b) ? wanted_of(g, b.slice) : NULL;
        if (w && block_is_of(&b, w->size, s->layout.block_size) && can_have_size(&s->layout, b.size, object.size))
            w->found++;
        rc = scrub_go_on(&g->c->work);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* The folder's name is a block's without the last part. */
static int list_folder_of(struct group *g, const struct wanted *w)
{
    char memory[BLOCK_KEY_MAX];
    struct block_id b = block_of(g, w, 0);
    struct str key = data_scrub_key(g->c->work.scrub, &b, memory);
    return list_folder(g, str_first(key, (size_t)(str_rfind_char(key, '/') + 1)));
}

/* The blocks of the slices that have this hash (any, without hash prefix) are looked for. */
static int check_folder(struct group *g, unsigned hash, bool hashed)
{
    const struct wanted *some = NULL;
    uint64_t blocks = 0;
    for (size_t i = 0; i < g->count; i++) {
        const struct wanted *w = &g->slices[i];
        if (hashed && w->id % HASHES != hash)
            continue;
        some = w;
        blocks += blocks_of(g, w);
    }
    bool lists = blocks > LIMIT_DATA_CHECK_FEW && !g->c->options.verify;
    int rc = lists ? list_folder_of(g, some) : 0;
    for (size_t i = 0; rc == 0 && i < g->count; i++) {
        const struct wanted *w = &g->slices[i];
        if (hashed && w->id % HASHES != hash)
            continue;
        if (w->found < blocks_of(g, w))
            rc = check_each(g, w);
        else
            job_add(g->c->work.scrub->job, w->found);
    }
    return rc;
}

static void count_group(struct group *g)
{
    struct data_check_result r = {.slices = g->count};
    for (size_t i = 0; i < g->count; i++) {
        r.blocks += blocks_of(g, &g->slices[i]);
        r.bytes += g->slices[i].size;
    }
    mutex_lock(&g->c->work.lock);
    g->c->result.slices += r.slices;
    g->c->result.blocks += r.blocks;
    g->c->result.bytes += r.bytes;
    mutex_unlock(&g->c->work.lock);
}

static int check_group(struct checking *c, uint64_t from, uint64_t to)
{
    bool hashed = c->work.scrub->layout.hash_prefix;
    struct group g;
    int rc = load_group(c, from, to, &g);
    for (unsigned hash = 0; rc == 0 && g.count > 0 && hash < (hashed ? HASHES : 1); hash++)
        rc = check_folder(&g, hash, hashed);
    if (rc == 0)
        count_group(&g);
    free(g.slices);
    return rc;
}

static int check_groups(struct scrub_work *work)
{
    struct checking *c = container_of(work, struct checking, work);
    for (;;) {
        uint64_t from = 0, to = 0;
        int rc = scrub_go_on(work);
        if (rc == 0)
            rc = next_group(c, &from, &to);
        if (rc < 0 || from == to)
            return rc;
        rc = check_group(c, from, to);
        if (rc < 0)
            return rc;
    }
}

/* How many blocks that will be. */
static int count_blocks(struct checking *c, uint64_t *out)
{
    struct meta_mention page[FOLDER_IDS];
    uint64_t all = meta_mentions_count(c->mentions);
    *out = 0;
    for (uint64_t at = 0; at < all;) {
        size_t count = all - at < FOLDER_IDS ? (size_t)(all - at) : FOLDER_IDS;
        int rc = meta_mentions_read(c->mentions, at, count, page);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < count; i++)
            if (page[i].needed && is_chosen(&c->options, page[i].id))
                *out += block_count(page[i].size, c->work.scrub->layout.block_size);
        at += count;
    }
    return 0;
}

int data_check_blocks(struct data_scrub *s, const struct meta_mentions *mentions, const struct data_check_options *options,
                      struct data_check_result *out)
{
    struct checking c = {.work = {.scrub = s, .fn = check_groups}, .mentions = mentions, .options = *options};
    uint64_t blocks;
    int rc = count_blocks(&c, &blocks);
    if (rc < 0)
        return rc;
    job_phase(s->job, options->verify ? "reading blocks" : "checking blocks", JOB_COUNT, blocks);
    rc = scrub_run(&c.work);
    *out = c.result;
    return rc;
}

int data_clock_skew(struct data_scrub *s, int64_t *out_ns)
{
    char key[64];
    struct store_object object;
    (void)snprintf(key, sizeof(key), "testing/sluice-%016llx", (unsigned long long)random_u64());
    int64_t before_ns = clock_wall_ns();
    int rc = store_put(s->store, str_z(key), STR("what time is it?"));
    int64_t after_ns = clock_wall_ns();
    if (rc < 0)
        return rc;
    rc = store_head(s->store, str_z(key), &object);
    int deleted = store_delete(s->store, str_z(key));
    if (rc == 0)
        *out_ns = object.mtime_ns > after_ns    ? object.mtime_ns - after_ns
                  : object.mtime_ns < before_ns ? object.mtime_ns - before_ns
                                                : 0;
    return rc < 0 ? rc : deleted;
}
