/* `juicefs info` through .control: what an inode is, what is below it, where its bytes are, who has locked it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "vfs/data/block.h"
#include "vfs/fuse/control_internal.h"

#define OUTSIDE "path not shown because it's outside of the mounted root"

/* Sums */

struct entries_call {
    struct meta_summary sum;
    struct vfuse_progress *progress;
};

static void add_node(struct meta_summary *sum, const struct meta_attr *attr)
{
    sum->space += meta_node_space(attr);
    sum->length += attr->type == META_FILE ? attr->length : 0;
    sum->directories += attr->type == META_DIRECTORY;
    sum->files += attr->type != META_DIRECTORY;
}

static int add_entry(void *arg, const struct meta_entry *e)
{
    struct entries_call *c = arg;
    if (!e->attr)
        return 0;
    add_node(&c->sum, e->attr);
    c->progress->first = c->sum.files;
    c->progress->second = c->sum.space;
    return vfuse_progress_tick(c->progress);
}

/* The inode, and of a directory its entries, or all below. */
static int sum_up(struct vfuse_job *job, const struct vfuse_info *how, const struct meta_attr *attr, struct meta_summary *out)
{
    struct meta *m = job->control->v->meta;
    struct vfuse_progress p = {.control = job->control};
    if (how->recursive && attr->type == META_DIRECTORY)
        return meta_summary(m, how->ino, out);
    struct entries_call c = {.progress = &p};
    add_node(&c.sum, attr);
    const struct meta_edge_scan scan = {.parent = how->ino, .want = META_EDGE_ATTR};
    int r = attr->type == META_DIRECTORY ? meta_readdir(m, &job->ctx, &scan, add_entry, &c) : 0;
    if (r == 0)
        *out = c.sum;
    return r;
}

/* Members of the document */

struct members {
    struct buf *out;
    bool any;
};

static void next(struct members *l)
{
    buf_addc(l->out, l->any ? ',' : '[');
    l->any = true;
}

static void end(struct members *l)
{
    buf_addz(l->out, l->any ? "]" : "null");
}

static int add_path(void *arg, struct str path)
{
    struct members *l = arg;
    next(l);
    buf_add_json(l->out, path.len > 0 ? path : STR(OUTSIDE));
    return 0;
}

static void add_slice(struct members *l, uint32_t indx, const struct meta_slice *s)
{
    next(l);
    buf_addf(l->out, "{\"ChunkIndex\":%u,\"Id\":%llu,\"Size\":%u,\"Off\":%u,\"Len\":%u}", indx, (unsigned long long)s->id, s->size,
             s->off, s->len);
}

static void add_object(struct members *l, uint32_t indx, struct str key, const uint32_t numbers[3])
{
    next(l);
    buf_addf(l->out, "{\"ChunkIndex\":%u,\"Key\":", indx);
    buf_add_json(l->out, key);
    buf_addf(l->out, ",\"Size\":%u,\"Off\":%u,\"Len\":%u}", numbers[0], numbers[1], numbers[2]);
}

/* The blocks that a piece of a slice lies in, each with its part. */
static void add_objects(struct vfuse *v, struct members *l, uint32_t indx, const struct meta_slice *s)
{
    const uint32_t block_size = v->settings->block_size_kib * 1024;
    if (s->id == 0) {
        add_object(l, indx, STR_EMPTY, (uint32_t[]){s->len, 0, s->len});
        return;
    }
    for (uint32_t at = s->off; at < s->off + s->len;) {
        const struct block_id b = block_at(s->id, s->size, at, block_size);
        char key[BLOCK_KEY_MAX], name[BLOCK_KEY_MAX + META_NAME_MAX + 1];
        struct buf whole = buf_over(name, sizeof(name));
        buf_addf(&whole, "%.*s/", STR_ARG(v->settings->name));
        buf_add(&whole, block_key(&b, v->settings->hash_prefix, key));
        const uint32_t start = at - b.index * block_size, left = s->off + s->len - at;
        if (b.size <= start)
            return; /* a damaged record */
        const uint32_t len = b.size - start < left ? b.size - start : left;
        add_object(l, indx, buf_str(&whole), (uint32_t[]){b.size, start, len});
        at += len;
    }
}

static int add_chunks(struct vfuse *v, const struct vfuse_info *how, uint64_t length, struct members *l)
{
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < length && !l->out->failed; at += META_CHUNK_SIZE) {
        struct meta_slice *pieces = NULL;
        size_t count = 0;
        const uint32_t indx = (uint32_t)(at >> META_CHUNK_BITS);
        r = meta_read_chunk(v->meta, how->ino, indx, &pieces, &count);
        for (size_t i = 0; r == 0 && i < count; i++) {
            if (how->raw)
                add_slice(l, indx, &pieces[i]);
            else
                add_objects(v, l, indx, &pieces[i]);
        }
        free(pieces);
    }
    return r;
}

struct locks {
    struct members flocks, ranges;
};

static int add_flock(void *arg, const struct meta_flock_row *row)
{
    struct locks *l = arg;
    next(&l->flocks);
    buf_addf(l->flocks.out, "{\"Sid\":%llu,\"Owner\":%llu,\"Type\":\"%c\"}", (unsigned long long)row->holder.sid,
             (unsigned long long)row->holder.owner, row->type);
    return 0;
}

static int add_range(void *arg, struct meta_lock_holder holder, const struct meta_range_lock *range)
{
    struct locks *l = arg;
    next(&l->ranges);
    buf_addf(l->ranges.out, "{\"Sid\":%llu,\"Owner\":%llu,\"Type\":%d,\"Pid\":%u,\"Start\":%llu,\"End\":%llu}",
             (unsigned long long)holder.sid, (unsigned long long)holder.owner, range->type, range->pid,
             (unsigned long long)range->start, (unsigned long long)range->end);
    return 0;
}

static int add_locks(struct vfuse *v, meta_ino ino, struct buf *out)
{
    CLEANUP(buf_done) struct buf flocks = buf_make(LIMIT_REPORT_BYTES), ranges = buf_make(LIMIT_REPORT_BYTES);
    struct locks l = {{&flocks, false}, {&ranges, false}};
    int r = meta_locks(v->meta, ino, add_flock, add_range, &l);
    end(&l.flocks);
    end(&l.ranges);
    buf_addz(out, ",\"PLocks\":");
    buf_add(out, buf_str(&ranges));
    buf_addz(out, ",\"FLocks\":");
    buf_add(out, buf_str(&flocks));
    return r;
}

static int describe(struct vfuse_job *job, const struct vfuse_info *how, struct buf *out)
{
    struct vfuse *v = job->control->v;
    struct meta_attr attr;
    struct meta_summary sum = {0};
    int r = meta_getattr(v->meta, how->ino, &attr);
    if (r == 0)
        r = meta_access(v->meta, &job->ctx, how->ino, META_ACCESS_R, &attr);
    if (r == 0)
        r = sum_up(job, how, &attr, &sum);
    if (r < 0)
        return r;
    buf_addf(out, "{\"Ino\":%llu,\"Failed\":false,\"Reason\":\"\",\"Summary\":{\"Length\":%llu,\"Size\":%llu,\"Files\":%llu,\"Dirs\":%llu}",
             (unsigned long long)vfuse_kernel_ino(v, how->ino), (unsigned long long)sum.length, (unsigned long long)sum.space,
             (unsigned long long)sum.files, (unsigned long long)sum.directories);
    struct members l = {.out = out};
    buf_addz(out, ",\"Paths\":");
    r = meta_paths(v->meta, how->ino, v->root, add_path, &l);
    end(&l);
    buf_addf(out, ",\"Tier\":{\"ID\":%u,\"Sc\":\"\",\"Tag\":\"\"},\"RestoreStatus\":\"\",\"%s\":", attr.tier,
             how->raw ? "Chunks" : "Objects");
    l.any = false;
    if (r == 0 && attr.type == META_FILE)
        r = add_chunks(v, how, attr.length, &l);
    end(&l);
    if (r == 0)
        r = add_locks(v, how->ino, out);
    buf_addc(out, '}');
    return r == 0 && out->failed ? -EFBIG : r;
}

int vfuse_control_info(struct vfuse_job *job, const struct vfuse_info *how)
{
    CLEANUP(buf_done) struct buf out = buf_make(LIMIT_REPORT_BYTES);
    int r = describe(job, how, &out);
    if (r < 0) {
        buf_reset(&out);
        buf_addf(&out, "{\"Ino\":%llu,\"Failed\":true,\"Reason\":", (unsigned long long)how->ino);
        buf_add_json(&out, str_z(strerrordesc_np(-r)));
        buf_addc(&out, '}');
    }
    vfuse_control_answer(job->control, &out);
    return 1;
}
