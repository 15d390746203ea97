#include "vfs/meta/mentions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/limits.h"

/* Read at a time, while merging and while looking for one. */
#define PAGE_RECORDS 256
#define RECORD sizeof(struct meta_mention)
#define COUNT_MAX INT32_MAX

_Static_assert(sizeof(struct meta_mention) == 16, "as the header says");

/* A sorted part of the runs' file, while it is merged. */
struct run {
    uint64_t next, end; /* records in the file */
    size_t at, have;    /* in the page */
    struct meta_mention *page;
};

struct meta_mentions {
    struct meta_mention *memory;
    size_t capacity, used;
    int runs_fd; /* -1: none spilled */
    struct run *runs;
    size_t run_count, run_capacity;
    uint64_t spilled; /* records */
    /* once sorted: in memory, or in the file */
    bool sorted;
    int fd; /* -1: in memory */
    uint64_t count;
    uint64_t *first_ids; /* of each page */
};

static int open_temporary(void)
{
    const char *const places[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int fd = -1;
    for (size_t i = 0; i < ARRAY_SIZE(places) && fd < 0; i++)
        if (places[i])
            fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

struct meta_mentions *meta_mentions_new(size_t memory)
{
    struct meta_mentions *x = calloc(1, sizeof(*x));
    CHECK(x != NULL); /* out of memory */
    x->capacity = (memory ? memory : LIMIT_META_MENTIONS_BYTES) / RECORD;
    CHECK(x->capacity > 0);
    x->memory = malloc(x->capacity * RECORD);
    CHECK(x->memory != NULL); /* out of memory */
    x->runs_fd = x->fd = -1;
    return x;
}

static void drop_runs(struct meta_mentions *x)
{
    for (size_t i = 0; i < x->run_count; i++)
        free(x->runs[i].page);
    free(x->runs);
    x->runs = NULL;
    x->run_count = 0;
    fd_closep(&x->runs_fd);
}

void meta_mentions_free(struct meta_mentions *x)
{
    if (!x)
        return;
    drop_runs(x);
    fd_closep(&x->fd);
    free(x->first_ids);
    free(x->memory);
    free(x);
}

/* Order, and equal ones together */

static int compare(const void *a, const void *b)
{
    const struct meta_mention *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static void join(struct meta_mention *to, const struct meta_mention *more)
{
    uint64_t sum = (uint64_t)to->count + more->count;
    to->count = (uint32_t)(sum < COUNT_MAX ? sum : COUNT_MAX) & COUNT_MAX;
    to->needed |= more->needed;
}

/* What is in memory becomes sorted, each slice once. */
static void sort_memory(struct meta_mentions *x)
{
    size_t kept = 0;
    qsort(x->memory, x->used, RECORD, compare);
    for (size_t i = 0; i < x->used; i++) {
        if (kept > 0 && compare(&x->memory[kept - 1], &x->memory[i]) == 0)
            join(&x->memory[kept - 1], &x->memory[i]);
        else
            x->memory[kept++] = x->memory[i];
    }
    x->used = kept;
}

/* Gathering */

static int spill(struct meta_mentions *x)
{
    if (x->runs_fd < 0)
        x->runs_fd = open_temporary();
    if (x->runs_fd < 0)
        return x->runs_fd;
    int rc = fd_pwrite_all(x->runs_fd, x->memory, x->used * RECORD, x->spilled * RECORD);
    if (rc < 0)
        return rc;
    if (x->run_count == x->run_capacity) {
        x->run_capacity = x->run_capacity ? 2 * x->run_capacity : 16;
        x->runs = reallocarray(x->runs, x->run_capacity, sizeof(*x->runs));
        CHECK(x->runs != NULL); /* out of memory */
    }
    x->runs[x->run_count++] = (struct run){.next = x->spilled, .end = x->spilled + x->used};
    x->spilled += x->used;
    x->used = 0;
    return 0;
}

int meta_mentions_add(struct meta_mentions *x, uint64_t id, uint32_t size, bool needed)
{
    CHECK(!x->sorted);
    if (x->used == x->capacity) {
        sort_memory(x);
        /* Files that are copies of each other mention the same slices: there may be room again. */
        int rc = x->used > x->capacity / 2 ? spill(x) : 0;
        if (rc < 0)
            return rc;
    }
    x->memory[x->used++] = (struct meta_mention){.id = id, .size = size, .count = 1, .needed = needed};
    return 0;
}

/* Merging: a heap of runs, the one with the smallest next record on top. */

static int read_records(int fd, uint64_t index, size_t count, struct meta_mention *out)
{
    size_t size = count * RECORD;
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)out + done, size - done, (off_t)(index * RECORD + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* The run's next record is in its page, or the run is at its end (at == have). */
static int fill(const struct meta_mentions *x, struct run *r)
{
    uint64_t left = r->end - r->next;
    if (r->at < r->have || left == 0)
        return 0;
    r->at = 0;
    r->have = left < PAGE_RECORDS ? (size_t)left : PAGE_RECORDS;
    int rc = read_records(x->runs_fd, r->next, r->have, r->page);
    r->next += r->have;
    return rc;
}

static bool is_before(const struct run *a, const struct run *b)
{
    return compare(&a->page[a->at], &b->page[b->at]) < 0;
}

static void sift_down(struct run *heap, size_t count, size_t i)
{
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t child = left; child < left + 2 && child < count; child++)
            if (is_before(&heap[child], &heap[least]))
                least = child;
        if (least == i)
            return;
        struct run swap = heap[i];
        heap[i] = heap[least];
        heap[least] = swap;
        i = least;
    }
}

/* What is merged is gathered in the memory that the runs were sorted in. */
struct output {
    struct meta_mentions *x;
    struct meta_mention last;
    bool any;
};

static int write_out(struct meta_mentions *x)
{
    int rc = fd_pwrite_all(x->fd, x->memory, x->used * RECORD, (x->count - x->used) * RECORD);
    x->used = 0;
    return rc;
}

static int put(struct output *o)
{
    struct meta_mentions *x = o->x;
    if (!o->any)
        return 0;
    if (x->count % PAGE_RECORDS == 0)
        x->first_ids[x->count / PAGE_RECORDS] = o->last.id;
    x->memory[x->used++] = o->last;
    x->count++;
    return x->used == x->capacity ? write_out(x) : 0;
}

static int take(struct output *o, const struct meta_mention *next)
{
    if (o->any && compare(&o->last, next) == 0) {
        join(&o->last, next);
        return 0;
    }
    int rc = put(o);
    o->last = *next;
    o->any = true;
    return rc;
}

static int merge_heap(struct meta_mentions *x, size_t count)
{
    struct output o = {.x = x};
    int rc = 0;
    for (size_t i = count / 2; i-- > 0;)
        sift_down(x->runs, count, i);
    while (rc == 0 && count > 0) {
        struct run *top = &x->runs[0];
        rc = take(&o, &top->page[top->at++]);
        if (rc == 0)
            rc = fill(x, top);
        if (rc == 0 && top->at == top->have) {
            free(TAKE(top->page));
            x->runs[0] = x->runs[--count];
            x->runs[count].page = NULL;
        }
        sift_down(x->runs, count, 0);
    }
    if (rc == 0)
        rc = put(&o);
    return rc == 0 ? write_out(x) : rc;
}

static int merge(struct meta_mentions *x)
{
    int rc = 0;
    x->fd = open_temporary();
    if (x->fd < 0)
        return x->fd;
    x->first_ids = calloc(x->spilled / PAGE_RECORDS + 1, sizeof(*x->first_ids));
    CHECK(x->first_ids != NULL); /* out of memory */
    for (size_t i = 0; rc == 0 && i < x->run_count; i++) {
        x->runs[i].page = malloc(PAGE_RECORDS * RECORD);
        CHECK(x->runs[i].page != NULL); /* out of memory */
        rc = fill(x, &x->runs[i]);
    }
    return rc == 0 ? merge_heap(x, x->run_count) : rc;
}

int meta_mentions_sort(struct meta_mentions *x)
{
    CHECK(!x->sorted);
    sort_memory(x);
    int rc = 0;
    if (x->run_count == 0)
        x->count = x->used;
    else if (x->used > 0)
        rc = spill(x);
    if (rc == 0 && x->run_count > 0)
        rc = merge(x);
    if (x->run_count > 0) {
        drop_runs(x);
        free(TAKE(x->memory));
    }
    x->sorted = rc == 0;
    return rc;
}

/* Reading */

uint64_t meta_mentions_count(const struct meta_mentions *x)
{
    return x->count;
}

int meta_mentions_read(const struct meta_mentions *x, uint64_t index, size_t count, struct meta_mention *out)
{
    CHECK(x->sorted);
    CHECK(index + count <= x->count);
    if (x->fd >= 0)
        return read_records(x->fd, index, count, out);
    memcpy(out, x->memory + index, count * RECORD);
    return 0;
}

/* The first in [low, high) whose id is not below; ids: one each `stride` bytes. */
static uint64_t lower_bound(const void *ids, size_t stride, uint64_t low, uint64_t high, uint64_t id)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, there;
        memcpy(&there, (const char *)ids + middle * stride, sizeof(there));
        if (there < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int meta_mentions_seek(const struct meta_mentions *x, uint64_t id, uint64_t *out_index)
{
    struct meta_mention page[PAGE_RECORDS];
    CHECK(x->sorted);
    if (x->fd < 0) {
        *out_index = lower_bound(x->memory, RECORD, 0, x->count, id);
        return 0;
    }
    uint64_t pages = (x->count + PAGE_RECORDS - 1) / PAGE_RECORDS;
    uint64_t behind = lower_bound(x->first_ids, sizeof(*x->first_ids), 0, pages, id);
    if (behind == 0) {
        *out_index = 0;
        return 0;
    }
    uint64_t start = (behind - 1) * PAGE_RECORDS, left = x->count - start;
    size_t have = left < PAGE_RECORDS ? (size_t)left : PAGE_RECORDS;
    int rc = read_records(x->fd, start, have, page);
    if (rc == 0)
        *out_index = start + lower_bound(page, RECORD, 0, have, id);
    return rc;
}

int meta_mentions_find(const struct meta_mentions *x, uint64_t id, struct meta_mention *out)
{
    struct meta_mention m;
    uint64_t index;
    int rc = meta_mentions_seek(x, id, &index);
    if (rc < 0 || index == x->count)
        return rc;
    rc = meta_mentions_read(x, index, 1, &m);
    if (rc < 0 || m.id != id)
        return rc;
    *out = m;
    return 1;
}
