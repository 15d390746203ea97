/* The cache on disk filled, looked at and emptied by what files are made of, past the memory of readers. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "vfs/data/data_internal.h"

struct data_warmer {
    struct data *data;
    enum data_warm_action action;
    struct disk_writer writer;
    char *object; /* of compressed blocks, before they are decoded; else NULL */
};

bool data_has_disk(const struct data *d)
{
    return d->disk != NULL;
}

struct data_warmer *data_warmer_new(struct data *d, enum data_warm_action action)
{
    const struct data_codec *c = &d->layout.codec;
    struct data_warmer *w = calloc(1, sizeof(*w));
    CHECK(w != NULL && d->disk != NULL);
    w->data = d;
    w->action = action;
    size_t bound = data_codec_bound(c, d->layout.block_size);
    char *file = malloc(disk_file_size((uint32_t)bound));
    CHECK(file != NULL); /* out of memory */
    disk_writer_init(&w->writer, file);
    if (c->compression != COMPRESS_NONE && !c->cipher) {
        w->object = malloc(bound);
        CHECK(w->object != NULL); /* out of memory */
    }
    return w;
}

void data_warmer_free(struct data_warmer *w)
{
    if (!w)
        return;
    disk_writer_done(&w->writer);
    free(w->writer.file);
    free(w->object);
    free(w);
}

/* The block's body for the disk: the object as it is, unless that is compressed only. */
static int fetch(struct data_warmer *w, const struct block_id *id, uint32_t *out_body)
{
    struct data *d = w->data;
    char memory[BLOCK_KEY_MAX];
    struct str key = block_key(id, d->layout.hash_prefix, memory);
    size_t bound = data_codec_bound(&d->layout.codec, id->size), size;
    int rc = store_get(d->store, key, w->object ? w->object : w->writer.file, bound, &size);
    if (rc < 0)
        return rc;
    if (w->object) {
        rc = data_codec_decode(&d->layout.codec, w->object, size, w->writer.file, id->size);
        size = id->size;
    } else if (!d->layout.codec.cipher && size != id->size) {
        rc = -EIO;
    }
    *out_body = (uint32_t)size;
    return rc == 0 && size == 0 ? -EIO : rc;
}

static int fill(struct data_warmer *w, const struct block_id *id)
{
    uint32_t body;
    int rc = fetch(w, id, &body);
    if (rc < 0)
        return rc == -ENOENT ? -EIO : rc; /* it may have moved meanwhile, by compaction */
    rc = disk_cache_put(w->data->disk, &w->writer, id, body);
    return rc == -ENOENT ? -ENODEV : rc;
}

static void warm_block(struct data_warmer *w, const struct block_id *id, struct data_warm_count *count)
{
    bool there = disk_cache_has(w->data->disk, id);
    int rc = 0;
    count->blocks++;
    count->bytes += id->size;
    if (there) {
        count->there_blocks++;
        count->there_bytes += id->size;
    }
    if (w->action == DATA_WARM_CHECK || there == (w->action == DATA_WARM_FILL))
        return;
    if (w->action == DATA_WARM_FILL)
        rc = fill(w, id);
    else
        rc = disk_cache_remove(w->data->disk, id) ? 0 : -EIO;
    if (rc == 0) {
        count->done_blocks++;
        count->done_bytes += id->size;
    } else {
        count->failed_blocks++;
        count->error = rc;
    }
}

int data_warm_chunk(struct data_warmer *w, meta_ino ino, uint32_t indx, uint32_t size, struct data_warm_count *count)
{
    struct data *d = w->data;
    struct data_chunk *chunk;
    uint32_t block_size = d->layout.block_size;
    int rc = data_chunk_get(d, ino, indx, &chunk);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < chunk->count; i++) {
        const struct meta_slice *p = &chunk->pieces[i];
        if (p->id == 0 || p->pos >= size)
            continue;
        uint32_t len = p->len < size - p->pos ? p->len : size - p->pos;
        for (uint32_t at = p->off; at < p->off + len; at = (at / block_size + 1) * block_size) {
            struct block_id id = block_at(p->id, p->size, at, block_size);
            warm_block(w, &id, count);
        }
    }
    data_chunk_unref(chunk);
    return 0;
}
