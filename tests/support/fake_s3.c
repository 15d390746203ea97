#include "tests/support/fake_s3.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/mutex.h"
#include "s3api/s3.h"
#include "vfs/vfs_ops.h"

struct s3_service {
    struct vfs *volume;
};

enum kind { ECHO, SINK, NONE, BYTES, STREAM, FILE_, LENT, REFUSE, REFUSE_CLOSE, WORK, PANIC, UNKNOWN };

static const char *const paths[] = {"/echo", "/sink",   "/none",         "/bytes", "/stream",
                                    "/file", "/lent",   "/refuse",       "/refuse-close", "/work", "/panic"};

struct s3_op {
    struct arena *arena;
    enum kind kind;
    enum s3_state state;
    struct str query;
    struct s3_reply reply;
    struct http_header headers[2];
    struct buf body;
    uint64_t fed, checksum, produced, steps;
    struct vfs_file *file;
    const char *error;
};

static struct vfs *the_volume;
static atomic_uint begun, ended;
static _Atomic uint64_t fed;
static _Atomic size_t fed_at_once;
static struct mutex gate_lock = MUTEX_INIT;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_closed;

char fake_s3_pattern(uint64_t offset)
{
    return (char)('a' + (offset * 7 + offset / 977) % 26);
}

static uint64_t add_checksum(uint64_t sum, char c)
{
    return (sum ^ (unsigned char)c) * 1099511628211ull;
}

uint64_t fake_s3_checksum(uint64_t size)
{
    uint64_t sum = 14695981039346656037ull;
    for (uint64_t i = 0; i < size; i++)
        sum = add_checksum(sum, fake_s3_pattern(i));
    return sum;
}

void fake_s3_open(struct vfs *volume)
{
    the_volume = volume;
}
unsigned fake_s3_begun(void)
{
    return begun;
}
unsigned fake_s3_ended(void)
{
    return ended;
}
uint64_t fake_s3_fed(void)
{
    return fed;
}

size_t fake_s3_fed_at_once(void)
{
    return fed_at_once;
}

void fake_s3_gate(bool open)
{
    mutex_lock(&gate_lock);
    gate_closed = !open;
    pthread_cond_broadcast(&gate_cond);
    mutex_unlock(&gate_lock);
}

static void pass_gate(void)
{
    mutex_lock(&gate_lock);
    while (gate_closed)
        pthread_cond_wait(&gate_cond, &gate_lock.os);
    mutex_unlock(&gate_lock);
}

static void sleep_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* The parameter's value; otherwise when it is absent or not a number. */
static uint64_t param(const struct s3_op *op, const char *name, uint64_t otherwise)
{
    struct str rest = op->query, item;
    while (str_split(&rest, '&', &item)) {
        ptrdiff_t equals = str_find_char(item, '=');
        struct str key = equals < 0 ? item : str_first(item, (size_t)equals);
        uint64_t value = 1;
        if (!str_is(key, name))
            continue;
        if (equals >= 0 && !str_parse_u64(str_from(item, (size_t)equals + 1), &value))
            return otherwise;
        return value;
    }
    return otherwise;
}

static enum s3_state reply_bytes(struct s3_op *op, int status, struct str bytes)
{
    op->reply.status = status;
    op->reply.body = S3_REPLY_BYTES;
    op->reply.bytes = bytes;
    op->reply.length = (int64_t)bytes.len;
    return op->state = S3_REPLY;
}

static enum s3_state reply_error(struct s3_op *op, int status, const char *code)
{
    op->error = code;
    return reply_bytes(op, status, arena_printf(op->arena, "<Error><Code>%s</Code></Error>", code));
}

static struct str make_pattern(struct s3_op *op, uint64_t size)
{
    char *bytes = arena_alloc(op->arena, size + 1);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = fake_s3_pattern(i);
    return str_of(bytes, size);
}

static void open_file(struct s3_op *op)
{
    uint64_t size = param(op, "size", 0);
    struct str name = arena_printf(op->arena, "file-%llu", (unsigned long long)size);
    struct vfs_attr attr;
    if (vfs_open(vfs_root(the_volume), name, NULL, VFS_OPEN_READ, &op->file, &attr) < 0) {
        struct vfs_publish how = {.mode = VFS_PUBLISH_REPLACE};
        CHECK(vfs_stage(vfs_root(the_volume), name, NULL, size, &op->file) == 0);
        CHECK(vfs_write(op->file, make_pattern(op, size), 0) == 0);
        CHECK(vfs_publish(op->file, vfs_root(the_volume), name, NULL, &how, NULL) == 0);
    }
    op->reply.status = 200;
    op->reply.body = S3_REPLY_FILE;
    op->reply.file = op->file;
    op->reply.file_offset = param(op, "from", 0);
    op->reply.length = (int64_t)param(op, "promise", size - op->reply.file_offset);
    op->state = S3_REPLY;
}

/* A file that lends: of each three pieces, of odd sizes, two. */

#define LOAN_BYTES 1300001

struct lent_file {
    struct vfs_file base;
    atomic_uint refs; /* the op's, and each loan's */
    atomic_uint lent;
    uint64_t size, lost_at;
    unsigned turn;
};

static atomic_uint loans, loans_peak;

unsigned fake_s3_loans(void)
{
    return loans;
}

unsigned fake_s3_loans_peak(void)
{
    return loans_peak;
}

static void lent_unref(struct lent_file *f)
{
    if (atomic_fetch_sub(&f->refs, 1) == 1)
        free(f);
}

static void lent_close(struct vfs_file *base)
{
    lent_unref((struct lent_file *)(void *)base);
}

static int lent_fd(struct vfs_file *base)
{
    (void)base;
    return -ENOTSUP;
}

static void fill_pattern(char *out, size_t size, uint64_t offset)
{
    for (size_t i = 0; i < size; i++)
        out[i] = fake_s3_pattern(offset + i);
}

static ssize_t lent_read(struct vfs_file *base, void *out, size_t size, uint64_t offset)
{
    struct lent_file *f = (struct lent_file *)(void *)base;
    if (offset + size > f->lost_at)
        return -EIO;
    if (size > f->size - offset)
        size = (size_t)(f->size - offset);
    fill_pattern(out, size, offset);
    return (ssize_t)size;
}

struct lent_piece {
    struct lent_file *file;
    char bytes[];
};

static int lent_lend(struct vfs_file *base, uint64_t offset, uint64_t size, struct vfs_loan *out)
{
    struct lent_file *f = (struct lent_file *)(void *)base;
    size_t part = size < LOAN_BYTES ? (size_t)size : LOAN_BYTES;
    if (f->turn++ % 3 == 1)
        return -EAGAIN;
    if (offset + part > f->lost_at)
        return -EIO;
    struct lent_piece *p = malloc(sizeof(*p) + part);
    CHECK(p != NULL); /* out of memory */
    p->file = f;
    fill_pattern(p->bytes, part, offset);
    atomic_fetch_add(&f->refs, 1);
    atomic_fetch_add(&loans, 1);
    unsigned now = atomic_fetch_add(&f->lent, 1) + 1, peak = loans_peak;
    while (now > peak && !atomic_compare_exchange_weak(&loans_peak, &peak, now))
        continue;
    *out = (struct vfs_loan){str_of(p->bytes, part), base->volume, p};
    return 0;
}

static void lent_loan_done(struct vfs_loan *l)
{
    struct lent_piece *p = l->held;
    atomic_fetch_sub(&p->file->lent, 1);
    atomic_fetch_sub(&loans, 1);
    lent_unref(p->file);
    free(p);
}

static const struct vfs_ops lent_ops = {
    .close = lent_close,
    .file_fd = lent_fd,
    .read = lent_read,
    .lend = lent_lend,
    .loan_done = lent_loan_done,
};
static struct vfs lent_volume = {.ops = &lent_ops};

static void open_lent(struct s3_op *op)
{
    struct lent_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL); /* out of memory */
    f->base.volume = &lent_volume;
    f->size = param(op, "size", 0);
    f->lost_at = param(op, "lost_at", UINT64_MAX);
    atomic_init(&f->refs, 1);
    op->file = &f->base;
    op->reply.status = 200;
    op->reply.body = S3_REPLY_FILE;
    op->reply.file = op->file;
    op->reply.length = (int64_t)f->size;
    op->state = S3_REPLY;
}

static void begin(struct s3_op *op)
{
    switch (op->kind) {
    case ECHO:
    case SINK:
    case WORK:
        op->state = S3_BODY;
        return;
    case NONE:
        op->reply.status = 204;
        op->reply.body = S3_REPLY_NONE;
        op->state = S3_REPLY;
        return;
    case BYTES:
        reply_bytes(op, 200, make_pattern(op, param(op, "size", 10)));
        return;
    case STREAM:
        op->reply.status = 200;
        op->reply.body = S3_REPLY_STREAM;
        op->reply.length = param(op, "length", 0) ? (int64_t)param(op, "size", 0) : -1;
        op->state = S3_REPLY;
        return;
    case FILE_:
        open_file(op);
        return;
    case LENT:
        open_lent(op);
        return;
    case REFUSE:
    case REFUSE_CLOSE:
        op->reply.close = op->kind == REFUSE_CLOSE;
        reply_error(op, 403, "AccessDenied");
        return;
    case PANIC:
        reply_error(op, 500, "InternalError");
        return;
    case UNKNOWN:
        reply_error(op, 404, "NoSuchKey");
        return;
    }
}

struct s3_op *s3_begin(struct s3_service *s, const struct s3_incoming *in, struct arena *arena)
{
    (void)s;
    struct s3_op *op = arena_new_of(arena, struct s3_op);
    struct str path;
    atomic_fetch_add(&begun, 1);
    http_split_target(in->head->target, &path, &op->query);
    op->arena = arena;
    op->kind = UNKNOWN;
    op->body = buf_make(64 << 20);
    op->checksum = 14695981039346656037ull;
    op->headers[0] = (struct http_header){STR_INIT("X-Fake"), STR_INIT("yes")};
    op->headers[1] = (struct http_header){STR_INIT("x-amz-request-id"), in->request_id};
    op->reply.headers = op->headers;
    op->reply.header_count = 2;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (str_is(path, paths[i]))
            op->kind = (enum kind)i;
    }
    begin(op);
    return op;
}

bool s3_may_end_quick(const struct s3_op *op)
{
    return str_find(op->query, STR("quick=1")) >= 0;
}

struct s3_op *s3_begin_quick(struct s3_service *s, const struct s3_incoming *in, struct arena *arena)
{
    return str_find(in->head->target, STR("quick=1")) < 0 ? NULL : s3_begin(s, in, arena);
}

enum s3_state s3_state(const struct s3_op *op)
{
    return op->state;
}

static void take_piece(struct s3_op *op, struct str bytes)
{
    if (op->kind == ECHO)
        buf_add(&op->body, bytes);
    for (size_t i = 0; op->kind == SINK && i < bytes.len; i++)
        op->checksum = add_checksum(op->checksum, bytes.ptr[i]);
}

enum s3_state s3_feed(struct s3_op *op, struct pieces p)
{
    CHECK(op->state == S3_BODY);
    atomic_fetch_add(&fed, pieces_len(p));
    if (p.count > atomic_load(&fed_at_once))
        atomic_store(&fed_at_once, p.count);
    op->fed += pieces_len(p);
    if (op->kind == SINK)
        pass_gate();
    for (size_t i = 0; i < p.count; i++)
        take_piece(op, p.at[i]);
    if (op->kind == SINK) {
        sleep_ms(param(op, "slow", 0));
        if (op->fed > param(op, "fail_after", UINT64_MAX))
            return reply_error(op, 400, "BadDigest");
    }
    return op->state;
}

enum s3_state s3_finish(struct s3_op *op)
{
    if (op->kind == ECHO)
        return reply_bytes(op, 200, buf_str(&op->body));
    if (op->kind == SINK)
        return reply_bytes(op, 200,
                           arena_printf(op->arena, "%llu %llu", (unsigned long long)op->fed,
                                        (unsigned long long)op->checksum));
    CHECK(op->kind == WORK);
    sleep_ms(param(op, "ms", 0));
    if (++op->steps < param(op, "steps", 1))
        return op->state = S3_WORKING;
    return param(op, "bad", 0) ? reply_error(op, 500, "InternalError") : reply_bytes(op, 200, STR("<Result/>"));
}

const struct s3_reply *s3_reply(const struct s3_op *op)
{
    CHECK(op->state == S3_REPLY);
    return &op->reply;
}

void s3_reply_unreadable(struct s3_op *op, int negative_errno)
{
    CHECK(negative_errno < 0);
    reply_error(op, 500, "InternalError");
}

bool s3_may_answer_early(const struct s3_op *op)
{
    return op->kind == WORK && param(op, "early", 0);
}

const struct s3_reply *s3_early_reply(struct s3_op *op)
{
    struct s3_reply *early = arena_new_of(op->arena, struct s3_reply);
    *early = op->reply;
    early->status = 200;
    early->body = S3_REPLY_BYTES;
    early->bytes = STR("<?xml?>\n");
    early->length = -1;
    return early;
}

struct str s3_late_bytes(struct s3_op *op)
{
    return op->reply.bytes;
}

ssize_t s3_produce(struct s3_op *op, char *out, size_t size)
{
    uint64_t left = param(op, "size", 0) - op->produced, cut_at = param(op, "cut_at", UINT64_MAX);
    if (op->produced >= cut_at)
        return -5;
    size_t give = size < left ? size : (size_t)left;
    if (give > 10000)
        give = 10000; /* pieces that fit no chunk */
    for (size_t i = 0; i < give; i++)
        out[i] = fake_s3_pattern(op->produced + i);
    op->produced += give;
    return (ssize_t)give;
}

void s3_end(struct s3_op *op)
{
    atomic_fetch_add(&ended, 1);
    buf_done(&op->body);
    vfs_closep(&op->file);
}

void s3_op_describe(const struct s3_op *op, struct s3_op_info *out)
{
    *out = (struct s3_op_info){
        .operation = op->kind == UNKNOWN ? "Unknown" : paths[op->kind] + 1,
        .error_code = op->error,
        .auth = "-",
        .signature = "-",
        .cause = op->kind == PANIC ? "a test" : NULL,
    };
}

const char *const *s3_operation_names(void)
{
    static const char *const names[] = {"echo", "sink", "none", "bytes", "stream", "file", "lent", "refuse", "work", NULL};
    return names;
}
