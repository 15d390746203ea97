/* .control: commands of tools, by the protocol of official clients (docs/juicefs-format-notes.md). A request is written as
 * { u32 command, u32 size, body }, big-endian, in any pieces; the file then reads as if the answer stood behind it, as far as it
 * has come: any number of progress records { 0xFE, u64, u64 }, then one byte, an errno, or { 0xFF, u32 size, JSON }.
 *
 * Each command runs on a thread of its own, on behalf of who wrote it, until it ends, or until the handle is closed. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "vfs/fuse/control_internal.h"

#define PROGRESS 0xFE
#define DATA 0xFF
#define CLONE_PRESERVES 2
#define PROGRESS_MS 300 /* as official clients */

struct vfuse_controls {
    struct mutex lock;
    struct cond less;
    unsigned running;
};

struct vfuse_controls *vfuse_controls_new(void)
{
    struct vfuse_controls *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    mutex_init(&t->lock);
    cond_init(&t->less);
    return t;
}

void vfuse_controls_free(struct vfuse_controls *t)
{
    mutex_lock(&t->lock);
    while (t->running > 0)
        cond_wait(&t->less, &t->lock);
    mutex_unlock(&t->lock);
    cond_done(&t->less);
    mutex_done(&t->lock);
    free(t);
}

static bool may_start(struct vfuse_controls *t)
{
    mutex_lock(&t->lock);
    bool may = t->running < LIMIT_FUSE_CONTROLS;
    if (may)
        t->running++;
    mutex_unlock(&t->lock);
    return may;
}

static void ended(struct vfuse_controls *t)
{
    mutex_lock(&t->lock);
    t->running--;
    cond_broadcast(&t->less);
    mutex_unlock(&t->lock);
}

/* Handles */

struct vfuse_control *vfuse_control_new(struct vfuse *v)
{
    struct vfuse_control *c = calloc(1, sizeof(*c));
    CHECK(c != NULL); /* out of memory */
    mutex_init(&c->lock);
    c->v = v;
    atomic_init(&c->refs, 1);
    c->request = buf_make(LIMIT_FUSE_CONTROL_BYTES);
    c->stream = buf_make(LIMIT_REPORT_BYTES);
    return c;
}

static void unref(struct vfuse_control *c)
{
    if (atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    buf_done(&c->request);
    buf_done(&c->stream);
    mutex_done(&c->lock);
    free(c);
}

void vfuse_control_close(struct vfuse_control *c)
{
    if (!c)
        return;
    atomic_store(&c->cancelled, true);
    unref(c);
}

size_t vfuse_control_read(struct vfuse_control *c, char *out, size_t size, uint64_t offset)
{
    mutex_lock(&c->lock);
    struct str text = str_first(str_from(buf_str(&c->stream), (size_t)offset), size);
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    mutex_unlock(&c->lock);
    return text.len;
}

/* Answers */

static void say(struct vfuse_control *c, struct str bytes)
{
    mutex_lock(&c->lock);
    buf_add(&c->stream, bytes);
    mutex_unlock(&c->lock);
}

static void say_errno(struct vfuse_control *c, int r)
{
    const char byte = (char)(r < 0 ? -r : 0);
    say(c, str_of(&byte, 1));
}

static void say_progress(struct vfuse_control *c, const struct vfuse_progress *p)
{
    unsigned char record[1 + 2 * sizeof(uint64_t)] = {PROGRESS};
    const uint64_t numbers[] = {htobe64(p->first), htobe64(p->second)};
    memcpy(record + 1, numbers, sizeof(numbers));
    say(c, str_of((const char *)record, sizeof(record)));
}

int vfuse_progress_add(void *arg, uint64_t first, uint64_t second)
{
    struct vfuse_progress *p = arg;
    p->first += first;
    p->second += second;
    return vfuse_progress_tick(p);
}

int vfuse_progress_tick(struct vfuse_progress *p)
{
    uint64_t now = clock_mono_ms();
    if (now - p->told_ms >= PROGRESS_MS) {
        p->told_ms = now;
        say_progress(p->control, p);
    }
    return atomic_load(&p->control->cancelled) || atomic_load(&p->control->v->stopping) ? -EINTR : 0;
}

void vfuse_control_answer(struct vfuse_control *c, const struct buf *json)
{
    unsigned char head[1 + sizeof(uint32_t)] = {DATA};
    const uint32_t size = htonl((uint32_t)json->len);
    memcpy(head + 1, &size, sizeof(size));
    mutex_lock(&c->lock);
    buf_add(&c->stream, str_of((const char *)head, sizeof(head)));
    buf_add(&c->stream, buf_str(json));
    bool failed = c->stream.failed;
    mutex_unlock(&c->lock);
    if (failed)
        log_warn("control_answer_too_long", "bytes=%zu", json->len);
}

/* Bodies of requests: what is missing at the end reads as 0, as older clients leave it out. */

uint64_t vfuse_body_take(struct str *body, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | (i < body->len ? (unsigned char)body->ptr[i] : 0);
    *body = str_from(*body, bytes);
    return value;
}

struct str vfuse_body_text(struct str *body, size_t bytes)
{
    struct str text = str_first(*body, bytes);
    *body = str_from(*body, bytes);
    return text;
}

static meta_ino take_ino(const struct vfuse *v, struct str *body)
{
    meta_ino ino = vfuse_body_take(body, 8);
    return ino == FUSE_ROOT_ID ? v->root : ino;
}

/* Commands. They return what the last byte shall say, or 1 when they have answered themselves. */

static void forget_name(const struct vfuse *v, meta_ino parent, struct str name)
{
    /* Not known to the kernel is fine. */
    (void)fuse_lowlevel_notify_inval_entry(v->session, vfuse_kernel_ino(v, parent), name.ptr, name.len);
}

static int remove_tree(struct vfuse_job *job, struct str body)
{
    struct vfuse *v = job->control->v;
    meta_ino parent = take_ino(v, &body);
    struct str name = vfuse_body_text(&body, (size_t)vfuse_body_take(&body, 1));
    unsigned flags = vfuse_body_take(&body, 1) & 1 ? META_SKIP_TRASH : 0;
    if (vfuse_is_reserved(v, parent, name) || (flags && job->ctx.uid != 0))
        return -EPERM;
    struct vfuse_progress p = {.control = job->control};
    int r = meta_remove_tree(v->meta, &job->ctx, parent, name, flags, vfuse_progress_add, &p);
    if (r == 0)
        r = meta_sync(v->meta);
    if (p.first > 0)
        say_progress(job->control, &p);
    forget_name(v, parent, name);
    return r;
}

static int count_cloned(void *arg, uint64_t names, uint64_t bytes)
{
    (void)bytes;
    return vfuse_progress_add(arg, names, 0);
}

static int clone_tree(struct vfuse_job *job, struct str body)
{
    struct vfuse *v = job->control->v;
    struct meta_clone how = {.ctx = &job->ctx, .from = take_ino(v, &body)};
    (void)vfuse_body_take(&body, 8); /* the source's parent */
    how.parent = take_ino(v, &body);
    how.name = vfuse_body_text(&body, (size_t)vfuse_body_take(&body, 1));
    how.umask = (uint16_t)(vfuse_body_take(&body, 2) & 07777);
    how.preserve = (vfuse_body_take(&body, 1) & CLONE_PRESERVES) != 0;
    if (vfuse_is_reserved(v, how.parent, how.name))
        return -EPERM;
    int r = vfuse_flush_ino(v, how.from);
    struct meta_summary sum = {0};
    if (r == 0)
        r = meta_summary(v->meta, how.from, &sum);
    struct vfuse_progress p = {.control = job->control, .second = sum.files + sum.directories};
    if (r == 0)
        r = meta_clone(v->meta, &how, count_cloned, &p);
    if (r == 0)
        r = meta_sync(v->meta);
    if (p.first > 0)
        say_progress(job->control, &p);
    if (r == 0)
        forget_name(v, how.parent, how.name);
    return r;
}

static int info(struct vfuse_job *job, struct str body)
{
    struct vfuse_info how = {.ino = take_ino(job->control->v, &body)};
    how.recursive = vfuse_body_take(&body, 1) != 0;
    how.raw = vfuse_body_take(&body, 1) != 0;
    return vfuse_control_info(job, &how);
}

static int summary(struct vfuse_job *job, struct str body)
{
    meta_ino ino = take_ino(job->control->v, &body);
    unsigned depth = (unsigned)vfuse_body_take(&body, 1);
    return vfuse_control_summary(job, ino, depth, (unsigned)vfuse_body_take(&body, 1));
}

static const struct {
    uint32_t number;
    const char *name;
    size_t body_min;
    int (*run)(struct vfuse_job *job, struct str body); /* NULL: known, and not done here */
} commands[] = {
    {1002, "rmr", 10, remove_tree}, {1004, "warmup", 7, NULL}, {1005, "info", 8, info},
    {1006, "clone", 29, clone_tree}, {1007, "summary", 8, summary}, {1008, "compact", 8, NULL},
};

static int run_command(struct vfuse_job *job, uint32_t number, struct str body)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].number != number)
            continue;
        log_info("control", "command=%s uid=%u pid=%u", commands[i].name, job->ctx.uid, job->ctx.pid);
        if (!commands[i].run)
            return -ENOTSUP;
        return body.len < commands[i].body_min ? -EIO : commands[i].run(job, body);
    }
    log_warn("control", "command=%u problem=unknown", number);
    return -EINVAL;
}

static void *run_job(void *arg)
{
    struct vfuse_job *job = arg;
    struct vfuse_control *c = job->control;
    struct str body = buf_str(&job->request);
    vfuse_device = job->device;
    uint32_t number = (uint32_t)vfuse_body_take(&body, 4);
    (void)vfuse_body_take(&body, 4);
    int r = run_command(job, number, body);
    if (r <= 0)
        say_errno(c, r);
    atomic_store(&c->busy, false);
    struct vfuse_controls *all = c->v->controls;
    buf_done(&job->request);
    free(job);
    unref(c);
    ended(all);
    return NULL;
}

/* The caller's rights: the kernel has checked none of what a command does. */
static void start(struct vfuse_control *c, const struct vfuse_call *call)
{
    struct vfuse_job *job = calloc(1, sizeof(*job));
    CHECK(job != NULL); /* out of memory */
    job->control = c;
    job->device = vfuse_device;
    job->request = c->request;
    c->request = buf_make(LIMIT_FUSE_CONTROL_BYTES);
    int groups = fuse_req_getgroups(call->request, (int)ARRAY_SIZE(job->groups), job->groups);
    job->ctx = call->ctx;
    job->ctx.check_permission = true;
    job->ctx.groups = job->groups;
    if (groups > 0)
        job->ctx.group_count = (size_t)groups < ARRAY_SIZE(job->groups) ? (size_t)groups : ARRAY_SIZE(job->groups);
    atomic_store(&c->busy, true);
    atomic_fetch_add(&c->refs, 1);
    pthread_t thread;
    thread_start(&thread, "control", run_job, job);
    CHECK(pthread_detach(thread) == 0);
}

static int take_bytes(struct vfuse_control *c, const struct vfuse_call *call, struct str bytes)
{
    if (atomic_load(&c->busy))
        return -EBUSY;
    buf_add(&c->request, bytes);
    struct str rest = buf_str(&c->request);
    uint32_t number = (uint32_t)vfuse_body_take(&rest, 4);
    uint64_t size = vfuse_body_take(&rest, 4);
    if (c->request.failed)
        return -EMSGSIZE;
    if (c->request.len < 8 || size > rest.len)
        return 0;
    buf_add(&c->stream, buf_str(&c->request));
    if (size == rest.len && may_start(c->v->controls)) {
        start(c, call);
        return 0;
    }
    log_warn("control", "command=%u problem=\"%s\"", number, size < rest.len ? "bytes behind it" : "too many at a time");
    buf_addc(&c->stream, size < rest.len ? EIO : EBUSY);
    buf_reset(&c->request);
    return 0;
}

int vfuse_control_write(struct vfuse_control *c, const struct vfuse_call *call, struct str bytes)
{
    mutex_lock(&c->lock);
    int r = take_bytes(c, call, bytes);
    mutex_unlock(&c->lock);
    return r;
}
