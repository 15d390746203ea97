/* Views larger than the memory for them: sorted runs are written to a temporary file and merged into two others, the
 * records in order and their offsets, which are then mapped. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "vfs/dir/view_internal.h"

#define WRITE_BYTES (256 * 1024)
/* How much of the runs is merged before the pages they were read through are let go. */
#define REST_BYTES (8u * 1024 * 1024)

/* A temporary file that is appended to. */
struct spool {
    int fd;
    char *buffer;
    size_t used;
    uint64_t size; /* of what was added */
};

struct run {
    const char *at, *end; /* while merging */
    uint64_t start, stop; /* in the file */
};

struct spill {
    int dir_fd;
    struct spool runs_file;
    struct run *runs;
    size_t count, capacity;
};

/* Spools */

static int open_temporary(int dir_fd)
{
    static const char *const elsewhere[] = {"/var/tmp", "/tmp"};
    int fd = dir_fd < 0 ? -1 : openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere) && fd < 0; i++)
        fd = open(elsewhere[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

static int spool_open(struct spool *s, int dir_fd)
{
    s->fd = open_temporary(dir_fd);
    if (s->fd < 0)
        return s->fd;
    s->buffer = malloc(WRITE_BYTES);
    CHECK(s->buffer != NULL);
    return 0;
}

static void spool_close(struct spool *s)
{
    fd_closep(&s->fd);
    free(s->buffer);
    s->buffer = NULL;
}

static int spool_flush(struct spool *s)
{
    int r = fd_pwrite_all(s->fd, s->buffer, s->used, s->size - s->used);
    s->used = 0;
    return r;
}

static int spool_add(struct spool *s, const void *bytes, size_t size)
{
    CHECK(size <= WRITE_BYTES);
    if (s->used + size > WRITE_BYTES) {
        int r = spool_flush(s);
        if (r < 0)
            return r;
    }
    memcpy(s->buffer + s->used, bytes, size);
    s->used += size;
    s->size += size;
    return 0;
}

/* Its content; what is written later is not in it. */
static int spool_map(struct spool *s, void **out)
{
    int r = spool_flush(s);
    if (r < 0)
        return r;
    void *at = mmap(NULL, s->size, PROT_READ, MAP_SHARED, s->fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *out = at;
    return 0;
}

/* Runs */

int spill_new(int dir_fd, struct spill **out)
{
    struct spill *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->dir_fd = dir_fd;
    int r = spool_open(&s->runs_file, dir_fd);
    if (r < 0) {
        free(s);
        return r;
    }
    *out = s;
    return 0;
}

void spill_freep(struct spill **sp)
{
    struct spill *s = *sp;
    if (!s)
        return;
    spool_close(&s->runs_file);
    free(s->runs);
    free(s);
    *sp = NULL;
}

int spill_add(struct spill *s, struct view *w)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 16;
        s->runs = reallocarray(s->runs, s->capacity, sizeof(*s->runs));
        CHECK(s->runs != NULL);
    }
    uint64_t start = s->runs_file.size;
    for (size_t i = 0; i < w->count; i++) {
        const char *record = w->records + w->offsets[i];
        int r = spool_add(&s->runs_file, record, record_size(record));
        if (r < 0)
            return r;
    }
    s->runs[s->count++] = (struct run){.start = start, .stop = s->runs_file.size};
    w->records_size = 0;
    w->count = 0;
    return 0;
}

/* Merging: a heap of runs, the one with the smallest next record on top. */

static bool is_before(const struct run *a, const struct run *b)
{
    return str_cmp(record_extended(a->at), record_extended(b->at)) < 0;
}

static void sift_down(struct run *heap, size_t count, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++) {
            if (is_before(&heap[child], &heap[least]))
                least = child;
        }
        if (least == i)
            return;
        struct run moved = heap[i];
        heap[i] = heap[least];
        heap[least] = moved;
        i = least;
    }
}

static size_t make_heap(struct spill *s, const char *mapped)
{
    for (size_t i = 0; i < s->count; i++) {
        s->runs[i].at = mapped + s->runs[i].start;
        s->runs[i].end = mapped + s->runs[i].stop;
    }
    for (size_t i = s->count / 2; i-- > 0;)
        sift_down(s->runs, s->count, i);
    return s->count;
}

static int add_merged(struct spool *records, struct spool *offsets, const char *record)
{
    if (records->size + record_size(record) > UINT32_MAX)
        return -EFBIG;
    uint32_t offset = (uint32_t)records->size;
    int r = spool_add(offsets, &offset, sizeof(offset));
    return r < 0 ? r : spool_add(records, record, record_size(record));
}

static int merge_runs(struct spill *s, const char *mapped, struct spool *records, struct spool *offsets)
{
    size_t left = make_heap(s, mapped);
    const char *last = NULL;
    uint64_t rested = 0;
    while (left > 0) {
        struct run *top = &s->runs[0];
        bool is_twice = last && str_eq(record_extended(last), record_extended(top->at));
        int r = is_twice ? 0 : add_merged(records, offsets, top->at);
        if (r < 0)
            return r;
        last = top->at;
        top->at += record_size(top->at);
        if (top->at == top->end)
            *top = s->runs[--left];
        sift_down(s->runs, left, 0);
        if (records->size - rested > REST_BYTES) {
            (void)madvise((void *)(uintptr_t)mapped, s->runs_file.size, MADV_DONTNEED);
            rested = records->size;
        }
    }
    return 0;
}

static int merge_into(struct spill *s, struct view *w, struct spool *records, struct spool *offsets)
{
    void *mapped;
    int r = spool_map(&s->runs_file, &mapped);
    if (r < 0)
        return r;
    r = merge_runs(s, mapped, records, offsets);
    CHECK(munmap(mapped, s->runs_file.size) == 0);
    void *records_at, *offsets_at;
    if (r == 0)
        r = spool_map(records, &records_at);
    if (r < 0)
        return r;
    r = spool_map(offsets, &offsets_at);
    if (r < 0) {
        CHECK(munmap(records_at, records->size) == 0);
        return r;
    }
    free(w->records);
    free(w->offsets);
    w->records = records_at;
    w->offsets = offsets_at;
    w->records_size = w->records_capacity = records->size;
    w->count = w->capacity = offsets->size / sizeof(*w->offsets);
    w->is_mapped = true;
    return 0;
}

int spill_merge(struct spill *s, struct view *w)
{
    CHECK(s->count > 0 && w->count == 0);
    struct spool records = {.fd = -1}, offsets = {.fd = -1};
    int r = spool_open(&records, s->dir_fd);
    if (r == 0)
        r = spool_open(&offsets, s->dir_fd);
    if (r == 0)
        r = merge_into(s, w, &records, &offsets);
    spool_close(&records);
    spool_close(&offsets);
    return r;
}
