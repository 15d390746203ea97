/* What is in the store and belongs to no slice. The folders right below chunks/ are found one after the other, each by a listing from
 * behind the one before, and then listed in parallel. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "vfs/data/scrub_internal.h"

#define TOP "chunks/"

struct listing {
    struct scrub_work work; /* its lock guards what follows */
    const struct meta_mentions *mentions;
    struct data_list_options options;
    struct data_list_result result;
    struct buf after; /* the last folder handed out, without its '/' */
    bool end;
};

/* What is known of the last slice: its blocks follow each other. */
struct last {
    uint64_t id;
    int found;
    struct meta_mention mention;
};

static int state_of(struct listing *l, struct last *last, const struct block_id *b, int64_t mtime_ns)
{
    if (b->slice != last->id) {
        last->found = meta_mentions_find(l->mentions, b->slice, &last->mention);
        last->id = b->slice;
    }
    if (last->found < 0)
        return last->found;
    if (last->found && block_is_of(b, last->mention.size, l->work.scrub->layout.block_size))
        return DATA_OBJECT_USED;
    return mtime_ns >= l->options.before_ns ? DATA_OBJECT_NEW : DATA_OBJECT_LEAKED;
}

static int list_object(struct listing *l, struct last *last, const struct store_object *object, struct data_list_result *sums)
{
    struct block_id b;
    int state = DATA_OBJECT_UNKNOWN;
    if (block_parse(object->key, l->work.scrub->layout.hash_prefix, &b))
        state = state_of(l, last, &b, object->mtime_ns);
    if (state < 0)
        return state;
    sums->objects[state]++;
    sums->bytes[state] += object->size;
    job_add(l->work.scrub->job, 1);
    if (state != DATA_OBJECT_LEAKED)
        return 0;
    mutex_lock(&l->work.lock);
    int rc = l->options.fn(l->options.arg, &b, object->size);
    mutex_unlock(&l->work.lock);
    return rc;
}

static int list_folder(struct listing *l, struct str prefix)
{
    CLEANUP(store_scan_closep) struct store_scan *scan = store_scan_open(l->work.scrub->store, prefix, STR_EMPTY);
    struct data_list_result sums = {0};
    struct store_object object;
    struct last last = {.id = 0};
    int rc;
    while ((rc = store_scan_next(scan, &object)) == 1) {
        rc = scrub_go_on(&l->work);
        if (rc == 0)
            rc = list_object(l, &last, &object, &sums);
        if (rc < 0)
            break;
    }
    mutex_lock(&l->work.lock);
    for (int i = 0; i < DATA_OBJECT_STATES; i++) {
        l->result.objects[i] += sums.objects[i];
        l->result.bytes[i] += sums.bytes[i];
    }
    mutex_unlock(&l->work.lock);
    return rc;
}

/* The next folder into `out`; nothing at the end. Objects right in chunks/ are no blocks. With the lock held. */
static int find_folder(struct listing *l, struct buf *out)
{
    struct store_object object;
    buf_reset(out);
    while (!l->end) {
        CLEANUP(store_scan_closep)
        struct store_scan *scan = store_scan_open(l->work.scrub->store, STR(TOP), buf_str(&l->after));
        int rc = store_scan_next(scan, &object);
        l->end = rc <= 0;
        if (rc <= 0)
            return rc;
        struct str rest = str_from(object.key, sizeof(TOP) - 1);
        ptrdiff_t slash = str_find_char(rest, '/');
        buf_reset(&l->after);
        if (slash < 0) {
            l->result.objects[DATA_OBJECT_UNKNOWN]++;
            l->result.bytes[DATA_OBJECT_UNKNOWN] += object.size;
            buf_add(&l->after, object.key);
            continue;
        }
        buf_addf(out, TOP "%.*s/", (int)slash, rest.ptr);
        /* Behind all that begin with it: '0' comes after '/'. */
        buf_addf(&l->after, TOP "%.*s0", (int)slash, rest.ptr);
        return out->failed || l->after.failed ? -EIO : 0;
    }
    return 0;
}

static int list_folders(struct scrub_work *work)
{
    struct listing *l = container_of(work, struct listing, work);
    struct buf prefix = buf_make(LIMIT_STORE_KEY_BYTES);
    int rc;
    do {
        rc = scrub_go_on(work);
        mutex_lock(&work->lock);
        if (rc == 0)
            rc = find_folder(l, &prefix);
        mutex_unlock(&work->lock);
        if (rc == 0 && prefix.len > 0)
            rc = list_folder(l, buf_str(&prefix));
    } while (rc == 0 && prefix.len > 0);
    buf_done(&prefix);
    return rc;
}

int data_list_leaked(struct data_scrub *s, const struct meta_mentions *mentions, const struct data_list_options *options,
                     struct data_list_result *out)
{
    struct listing l = {.work = {.scrub = s, .fn = list_folders},
                        .mentions = mentions,
                        .options = *options,
                        .after = buf_make(LIMIT_STORE_KEY_BYTES)};
    job_phase(s->job, "listing objects", JOB_COUNT, 0);
    int rc = scrub_run(&l.work);
    *out = l.result;
    buf_done(&l.after);
    return rc;
}
