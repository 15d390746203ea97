/* Listing over all shards: each shard gives pages in order, the smallest next key of them all is the next one. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "vfs/store/store_internal.h"

struct shard_scan {
    struct store_page page;
    size_t next; /* in the page */
    struct buf after; /* the last key seen, or where to start */
};

struct store_scan {
    struct store *store;
    struct buf prefix;
    int error;
    uint32_t shard_count;
    struct shard_scan shards[];
};

struct list_call {
    struct str prefix, after;
    struct store_page *page;
};

struct store_scan *store_scan_open(struct store *s, struct str prefix, struct str after)
{
    uint32_t count = store_shard_count(s);
    struct store_scan *scan = calloc(1, sizeof(*scan) + count * sizeof(struct shard_scan));
    CHECK(scan != NULL); /* out of memory */
    scan->store = s;
    scan->shard_count = count;
    scan->prefix = buf_make(LIMIT_STORE_KEY_BYTES);
    scan->error = store_full_key(s, prefix, &scan->prefix);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_scan *shard = &scan->shards[i];
        shard->page.arena = arena_new();
        shard->page.more = true;
        shard->after = buf_make(LIMIT_STORE_KEY_BYTES);
        if (after.len > 0 && scan->error == 0)
            scan->error = store_full_key(s, after, &shard->after);
    }
    return scan;
}

void store_scan_close(struct store_scan *scan)
{
    if (!scan)
        return;
    for (uint32_t i = 0; i < scan->shard_count; i++) {
        arena_free(scan->shards[i].page.arena);
        buf_done(&scan->shards[i].after);
    }
    buf_done(&scan->prefix);
    free(scan);
}

void store_scan_closep(struct store_scan **scan)
{
    store_scan_close(TAKE(*scan));
}

static int attempt_list(struct store_driver *d, void *arg, struct buf *why)
{
    struct list_call *call = arg;
    arena_reset(call->page->arena);
    call->page->count = 0;
    call->page->more = false;
    return d->ops->list(d, call->prefix, call->after, call->page, why);
}

static int load_page(struct store_scan *scan, uint32_t index)
{
    struct shard_scan *shard = &scan->shards[index];
    struct list_call call = {buf_str(&scan->prefix), buf_str(&shard->after), &shard->page};
    int rc = store_run(scan->store, index, STORE_LIST, attempt_list, &call);
    if (rc < 0)
        return rc;
    CHECK(shard->page.count > 0 || !shard->page.more);
    shard->next = 0;
    if (shard->page.count > 0) {
        buf_reset(&shard->after);
        buf_add(&shard->after, shard->page.objects[shard->page.count - 1].key);
    }
    return shard->after.failed ? -EIO : 0;
}

/* The next object of one shard, or NULL at its end. */
static int peek(struct store_scan *scan, uint32_t index, struct store_object **out)
{
    struct shard_scan *shard = &scan->shards[index];
    *out = NULL;
    if (shard->next == shard->page.count && shard->page.more) {
        int rc = load_page(scan, index);
        if (rc < 0)
            return rc;
    }
    if (shard->next < shard->page.count)
        *out = &shard->page.objects[shard->next];
    return 0;
}

static int next(struct store_scan *scan, struct store_object *out)
{
    struct store_object *least = NULL;
    struct shard_scan *from = NULL;
    for (uint32_t i = 0; i < scan->shard_count; i++) {
        struct store_object *o;
        int rc = peek(scan, i, &o);
        if (rc < 0)
            return rc;
        if (o && (!least || str_cmp(o->key, least->key) < 0)) {
            least = o;
            from = &scan->shards[i];
        }
    }
    if (!least)
        return 0;
    from->next++;
    *out = *least;
    CHECK(str_starts(out->key, store_prefix(scan->store)));
    out->key = str_from(out->key, store_prefix(scan->store).len);
    return 1;
}

int store_scan_next(struct store_scan *scan, struct store_object *out)
{
    if (scan->error < 0)
        return scan->error;
    int rc = next(scan, out);
    if (rc < 0)
        scan->error = rc;
    return rc;
}
