/* The file: a header, and from FIRST on records. Free records are a list through `slice`.
 *
 * Invariants, while nobody holds the lock and the header is not dirty:
 * 1. `bytes` and `items` are the sums over the taken records among the first `count`.
 * 2. `free` is 0 or one more than the slot of a free record, whose `slice` is the same again.
 * A record whose check does not fit counts as free; a list that leads to no free record is given up until the next
 * count. */
#include "vfs/data/disk_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mutex.h"
#include "base/random.h"

#define MAGIC 0x3178646e69627563ull /* changes with the layout */
#define FIRST 4096
#define BATCH 2048 /* records that are read at a time: 64 KiB */
/* Random places, and neighbours there, that a victim is looked for among. Neighbours come with the same read. */
#define SAMPLE_PLACES 4
#define SAMPLE_RUN 16
#define SAMPLE_TRIES 4
/* A use within so many seconds of the last one is not written down. */
#define MARK_S 10
#define LOCK_PAUSE_NS (200 * 1000)

enum { RECORD_FREE = 0, RECORD_TAKEN = 1 };

struct record {
    uint64_t slice; /* of a free one: the next free, as `free` */
    uint32_t index, size;
    uint32_t bytes; /* on the disk */
    uint32_t state;
    uint32_t check;  /* of what stands above */
    uint32_t used_s; /* written without the lock */
};
_Static_assert(sizeof(struct record) == 32, "the layout on disk");

struct header {
    uint64_t magic;
    uint64_t bytes;
    char boot[16]; /* of the machine: after a new start the records may be older than the files */
    uint32_t dirty;
    uint32_t count, items;
    uint32_t free;
    uint32_t scrubbed; /* folders */
    uint32_t check;    /* of what stands above */
    uint64_t unused;
};
_Static_assert(sizeof(struct header) == 64, "the layout on disk");

struct disk_index {
    int fd;
    uint32_t folders;
    _Atomic uint32_t hand; /* where the last search for a taken record ended */
    struct mutex lock;     /* beside the file's, which is one for all threads */
};

static uint32_t sum_of(const void *bytes, size_t size)
{
    uint8_t out[DIGEST_SIZE_MAX];
    uint32_t sum;
    digest_bytes(DIGEST_CRC32C, str_of(bytes, size), out);
    memcpy(&sum, out, sizeof(sum));
    return sum;
}

static uint64_t place_of(uint32_t slot)
{
    return FIRST + (uint64_t)slot * sizeof(struct record);
}

static bool is_taken(const struct record *r)
{
    return r->state == RECORD_TAKEN && r->check == sum_of(r, offsetof(struct record, check));
}

static bool is_of(const struct record *r, const struct block_id *id)
{
    return r->slice == id->slice && r->index == id->index && r->size == id->size && is_taken(r);
}

/* Up to count records from the slot on; how many there are. */
static ssize_t read_records(const struct disk_index *x, uint32_t slot, uint32_t count, struct record *out)
{
    int rc = fault_point("disk.index");
    ssize_t n = rc < 0 ? rc : fd_pread_full(x->fd, out, count * sizeof(*out), place_of(slot));
    return n < 0 ? n : n / (ssize_t)sizeof(*out);
}

static int write_record(struct disk_index *x, uint32_t slot, struct record *r)
{
    r->check = sum_of(r, offsetof(struct record, check));
    return fd_pwrite_all(x->fd, r, sizeof(*r), place_of(slot));
}

/* -EBADMSG: damaged, or there is none. */
static int read_header(const struct disk_index *x, struct header *out)
{
    struct header h;
    ssize_t n = fd_pread_full(x->fd, &h, sizeof(h), 0);
    if (n < 0)
        return (int)n;
    if (n != sizeof(h) || h.magic != MAGIC || h.check != sum_of(&h, offsetof(struct header, check)))
        return -EBADMSG;
    *out = h;
    return 0;
}

static int write_header(struct disk_index *x, struct header *h)
{
    h->check = sum_of(h, offsetof(struct header, check));
    return fd_pwrite_all(x->fd, h, sizeof(*h), 0);
}

static void boot_id(char out[16])
{
    char text[40];
    memset(out, 0, 16);
    CLEANUP(fd_closep) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_pread_full(fd, text, sizeof(text), 0);
    if (n > 0)
        memcpy(out, text, (size_t)n < 16 ? (size_t)n : 16); /* half of it tells starts apart */
}

/* Changes */

static int lock_file(struct disk_index *x)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    uint64_t end_ms = clock_mono_ms() + LIMIT_DISK_CACHE_SLOW_MS;
    while (fcntl(x->fd, F_OFD_SETLK, &l) < 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -errno;
        if (clock_mono_ms() >= end_ms) /* its holder was stopped, say */
            return -ETIMEDOUT;
        struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

static void unlock_file(struct disk_index *x)
{
    struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    CHECK(fcntl(x->fd, F_OFD_SETLK, &l) == 0);
}

/* Makes the invariants true for one batch. */
static int recount_batch(struct disk_index *x, struct header *h, uint32_t slot, struct record *records, uint32_t count)
{
    bool changed = false;
    for (uint32_t i = 0; i < count; i++) {
        struct record *r = &records[i];
        if (is_taken(r)) {
            h->bytes += r->bytes;
            h->items++;
            continue;
        }
        *r = (struct record){.state = RECORD_FREE, .slice = h->free};
        r->check = sum_of(r, offsetof(struct record, check));
        h->free = slot + i + 1;
        changed = true;
    }
    return changed ? fd_pwrite_all(x->fd, records, count * sizeof(*records), place_of(slot)) : 0;
}

static int recount(struct disk_index *x, struct header *h)
{
    struct stat st;
    if (fstat(x->fd, &st) < 0)
        return -errno;
    struct record *records = malloc(BATCH * sizeof(*records));
    CHECK(records != NULL); /* out of memory */
    h->bytes = 0;
    h->items = h->free = 0;
    h->count = st.st_size > FIRST ? (uint32_t)((uint64_t)(st.st_size - FIRST) / sizeof(*records)) : 0;
    ssize_t n = 0;
    int rc = 0;
    for (uint32_t slot = 0; slot < h->count && rc == 0; slot += (uint32_t)n) {
        n = read_records(x, slot, h->count - slot < BATCH ? h->count - slot : BATCH, records);
        rc = n < 0 ? (int)n : n == 0 ? -EIO : recount_batch(x, h, slot, records, (uint32_t)n);
    }
    free(records);
    return rc;
}

static int end_change(struct disk_index *x, struct header *h, int rc)
{
    h->dirty = 0;
    if (rc == 0 || rc == -ENOENT) {
        int written = write_header(x, h);
        rc = written < 0 ? written : rc;
    }
    unlock_file(x);
    mutex_unlock(&x->lock);
    return rc;
}

/* On success the lock is held and the header in *h; end_change follows. After an error in between the header stays
 * dirty. */
static int begin_change(struct disk_index *x, struct header *h)
{
    mutex_lock(&x->lock);
    int rc = lock_file(x);
    if (rc < 0) {
        mutex_unlock(&x->lock);
        return rc;
    }
    rc = read_header(x, h);
    if (rc == -EBADMSG) {
        *h = (struct header){.magic = MAGIC, .dirty = 1};
        boot_id(h->boot);
        rc = 0;
    }
    if (rc == 0 && h->dirty)
        rc = recount(x, h);
    h->dirty = 1;
    if (rc == 0)
        rc = write_header(x, h);
    if (rc < 0) {
        unlock_file(x);
        mutex_unlock(&x->lock);
    }
    return rc;
}

/* A slot for a new record. The lock is held. */
static int take_slot(struct disk_index *x, struct header *h, uint32_t *out)
{
    struct record r;
    if (h->free > 0) {
        uint32_t slot = h->free - 1;
        ssize_t n = read_records(x, slot, 1, &r);
        if (n < 0)
            return (int)n;
        bool sound = n == 1 && slot < h->count && r.state == RECORD_FREE && r.slice <= h->count &&
                     r.check == sum_of(&r, offsetof(struct record, check));
        h->free = sound ? (uint32_t)r.slice : 0;
        *out = slot;
        if (sound)
            return 0;
    }
    if (h->count == INT32_MAX)
        return -ENOSPC;
    *out = h->count++;
    return 0;
}

int disk_index_add(struct disk_index *x, const struct block_id *id, uint32_t bytes, uint32_t *out_slot)
{
    struct header h;
    uint32_t slot = 0;
    struct record r = {.slice = id->slice,
                       .index = id->index,
                       .size = id->size,
                       .bytes = bytes,
                       .state = RECORD_TAKEN,
                       .used_s = (uint32_t)clock_wall_s()};
    int rc = begin_change(x, &h);
    if (rc < 0)
        return rc;
    rc = take_slot(x, &h, &slot);
    if (rc == 0)
        rc = write_record(x, slot, &r);
    if (rc == 0) {
        h.bytes += bytes;
        h.items++;
    }
    rc = end_change(x, &h, rc);
    if (rc == 0)
        *out_slot = slot;
    return rc;
}

int disk_index_remove(struct disk_index *x, uint32_t slot, const struct block_id *id)
{
    struct header h;
    struct record r;
    int rc = begin_change(x, &h);
    if (rc < 0)
        return rc;
    ssize_t n = read_records(x, slot, 1, &r);
    rc = n < 0 ? (int)n : n == 1 && slot < h.count && is_of(&r, id) && r.bytes <= h.bytes && h.items > 0 ? 0 : -ENOENT;
    if (rc == 0) {
        h.bytes -= r.bytes;
        h.items--;
        r = (struct record){.state = RECORD_FREE, .slice = h.free};
        h.free = slot + 1;
        rc = write_record(x, slot, &r);
    }
    return end_change(x, &h, rc);
}

int disk_index_scrub(struct disk_index *x, uint32_t *out_folder)
{
    struct header h;
    int rc = read_header(x, &h);
    if (rc == 0 && h.scrubbed >= x->folders)
        return -ENOENT;
    rc = begin_change(x, &h);
    if (rc < 0)
        return rc;
    rc = h.scrubbed < x->folders ? 0 : -ENOENT;
    if (rc == 0)
        *out_folder = h.scrubbed++;
    return end_change(x, &h, rc);
}

/* Without the lock */

int disk_index_mark(struct disk_index *x, uint32_t slot, const struct block_id *id)
{
    struct record r;
    ssize_t n = read_records(x, slot, 1, &r);
    if (n < 0)
        return (int)n;
    if (n == 0 || !is_of(&r, id))
        return -ENOENT;
    uint32_t now_s = (uint32_t)clock_wall_s();
    if (now_s - r.used_s < MARK_S)
        return 0;
    return fd_pwrite_all(x->fd, &now_s, sizeof(now_s), place_of(slot) + offsetof(struct record, used_s));
}

int disk_index_usage(struct disk_index *x, struct disk_usage *out)
{
    struct header h = {0};
    int rc = read_header(x, &h);
    if (rc < 0 && rc != -EBADMSG)
        return rc;
    *out = (struct disk_usage){h.bytes, h.items};
    return 0;
}

struct sample {
    uint32_t slot;
    struct record record; /* taken, once there is one */
};

/* Takes the record if it is older. */
static void weigh(struct sample *s, uint32_t slot, const struct record *r)
{
    if (!is_taken(r) || (s->record.state == RECORD_TAKEN && r->used_s >= s->record.used_s))
        return;
    s->slot = slot;
    s->record = *r;
}

static int sample_places(struct disk_index *x, uint32_t count, struct sample *s)
{
    struct record run[SAMPLE_RUN];
    for (int i = 0; i < SAMPLE_PLACES; i++) {
        uint32_t slot = (uint32_t)(random_u64() % count);
        ssize_t n = read_records(x, slot, count - slot < SAMPLE_RUN ? count - slot : SAMPLE_RUN, run);
        if (n < 0)
            return (int)n;
        for (uint32_t k = 0; k < (uint32_t)n; k++)
            weigh(s, slot + k, &run[k]);
    }
    return 0;
}

/* Where few of many records are taken: the next batch that has one. */
static int sweep(struct disk_index *x, uint32_t count, struct sample *s)
{
    struct record *records = malloc(BATCH * sizeof(*records));
    CHECK(records != NULL); /* out of memory */
    uint32_t slot = atomic_load(&x->hand);
    int rc = 0;
    for (uint32_t looked = 0; looked <= count && s->record.state != RECORD_TAKEN && rc == 0; looked += BATCH) {
        if (slot >= count)
            slot = 0;
        ssize_t n = read_records(x, slot, count - slot < BATCH ? count - slot : BATCH, records);
        if (n <= 0)
            rc = n < 0 ? (int)n : -EIO;
        for (uint32_t k = 0; k < (uint32_t)(n > 0 ? n : 0); k++)
            weigh(s, slot + k, &records[k]);
        if (s->record.state != RECORD_TAKEN)
            slot += BATCH;
    }
    atomic_store(&x->hand, slot);
    free(records);
    return rc;
}

int disk_index_victim(struct disk_index *x, uint32_t *out_slot, struct block_id *out_id)
{
    struct header h;
    struct sample s = {0};
    int rc = read_header(x, &h);
    if (rc == -EBADMSG || (rc == 0 && (h.count == 0 || h.items == 0)))
        return -ENOENT;
    for (int i = 0; i < SAMPLE_TRIES && rc == 0 && s.record.state != RECORD_TAKEN; i++)
        rc = sample_places(x, h.count, &s);
    if (rc == 0 && s.record.state != RECORD_TAKEN)
        rc = sweep(x, h.count, &s);
    if (rc < 0)
        return rc;
    if (s.record.state != RECORD_TAKEN)
        return -ENOENT;
    *out_slot = s.slot;
    *out_id = (struct block_id){s.record.slice, s.record.index, s.record.size};
    return 0;
}

/* Opening */

/* After a start of the machine what was written last may be missing, here and in the files. */
static int welcome(struct disk_index *x)
{
    struct header h;
    char boot[16];
    boot_id(boot);
    int rc = read_header(x, &h);
    if (rc == 0 && memcmp(h.boot, boot, sizeof(boot)) == 0)
        return 0;
    if (rc < 0 && rc != -EBADMSG)
        return rc;
    mutex_lock(&x->lock);
    rc = lock_file(x);
    if (rc == 0) {
        if (read_header(x, &h) < 0)
            h = (struct header){.magic = MAGIC};
        if (memcmp(h.boot, boot, sizeof(boot)) != 0) {
            memcpy(h.boot, boot, sizeof(boot));
            h.dirty = 1; /* counted by the first change */
            h.scrubbed = 0;
            rc = write_header(x, &h);
        }
        unlock_file(x);
    }
    mutex_unlock(&x->lock);
    return rc;
}

int disk_index_open(int folder, unsigned mode, uint32_t folders, struct disk_index **out)
{
    int fd = openat(folder, "index", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    struct disk_index *x = calloc(1, sizeof(*x));
    CHECK(x != NULL); /* out of memory */
    x->fd = fd;
    x->folders = folders;
    mutex_init(&x->lock);
    int rc = (mode & 077) != 0 && fchmod(fd, mode) < 0 && errno != EPERM ? -errno : welcome(x);
    if (rc < 0)
        disk_index_close(x);
    else
        *out = x;
    return rc;
}

void disk_index_close(struct disk_index *x)
{
    if (!x)
        return;
    close(x->fd);
    mutex_done(&x->lock);
    free(x);
}
