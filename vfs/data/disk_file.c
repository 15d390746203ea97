#include "vfs/data/disk_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/fd.h"

#define MAGIC 0x31636c7565637562ull /* changes with the layout */
/* A writer that takes longer for one file is none any more. */
#define WRITING_S 60

struct footer {
    uint64_t magic;
    uint64_t slice;
    uint32_t index, size;
    uint32_t body, form;
    uint32_t sum; /* of the table and what stands above */
    uint32_t slot;
};
_Static_assert(sizeof(struct footer) == 40, "the layout on disk");

static uint32_t sum_of(const char *bytes, size_t size)
{
    uint8_t out[DIGEST_SIZE_MAX];
    uint32_t sum;
    digest_bytes(DIGEST_CRC32C, str_of(bytes, size), out);
    memcpy(&sum, out, sizeof(sum));
    return sum;
}

static uint32_t pieces_of(uint32_t body)
{
    return body / DISK_PIECE + (body % DISK_PIECE != 0);
}

/* The last piece is shorter. */
static uint32_t piece_size(uint32_t body, uint32_t piece)
{
    uint32_t left = body - piece * DISK_PIECE;
    return left < DISK_PIECE ? left : DISK_PIECE;
}

size_t disk_file_size(uint32_t body)
{
    return (size_t)body + pieces_of(body) * sizeof(uint32_t) + sizeof(struct footer);
}

void disk_file_finish(char *file, uint32_t body, const struct block_id *id, enum disk_form form, uint32_t slot)
{
    CHECK(body > 0 && body <= DISK_BODY_MAX);
    uint32_t count = pieces_of(body);
    char *table = file + body;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sum = sum_of(file + (size_t)i * DISK_PIECE, piece_size(body, i));
        memcpy(table + i * sizeof(sum), &sum, sizeof(sum));
    }
    struct footer f = {MAGIC, id->slice, id->index, id->size, body, form, 0, slot};
    char *end = table + count * sizeof(uint32_t);
    memcpy(end, &f, sizeof(f));
    f.sum = sum_of(table, (size_t)(end - table) + offsetof(struct footer, sum));
    memcpy(end, &f, sizeof(f));
}

/* What is not a whole file; a young one may become one. */
static int incomplete(const struct stat *st)
{
    return clock_wall_s() - st->st_mtime < WRITING_S ? -ENODATA : -EBADMSG;
}

int disk_file_look(int fd, const struct block_id *id, enum disk_form form, struct disk_file *out)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= (off_t)sizeof(struct footer) || (uint64_t)st.st_size > disk_file_size(DISK_BODY_MAX))
        return incomplete(&st);
    /* size = body + 4 * count, where count = ceil(body / DISK_PIECE): one solution. */
    uint64_t size = (uint64_t)st.st_size - sizeof(struct footer), step = DISK_PIECE + sizeof(uint32_t);
    uint32_t count = (uint32_t)((size + step - 1) / step);
    if (size <= count * sizeof(uint32_t) || count > DISK_PIECES_MAX)
        return incomplete(&st);
    uint32_t body = (uint32_t)(size - count * sizeof(uint32_t));
    char end[DISK_PIECES_MAX * sizeof(uint32_t) + sizeof(struct footer)];
    size_t table = count * sizeof(uint32_t), length = table + sizeof(struct footer);
    ssize_t n = fd_pread_full(fd, end, length, body);
    if (n < 0)
        return (int)n;
    struct footer f;
    memcpy(&f, end + table, sizeof(f));
    if ((size_t)n != length || f.magic != MAGIC)
        return incomplete(&st);
    if (f.body != body || f.slice != id->slice || f.index != id->index || f.size != id->size ||
        f.form != (uint32_t)form || f.sum != sum_of(end, table + offsetof(struct footer, sum)))
        return -EBADMSG;
    out->body = body;
    out->slot = f.slot;
    memcpy(out->sums, end, table);
    return 0;
}

/* Whole pieces, read into `out` with one call. */
static int read_pieces(int fd, const struct disk_file *f, uint32_t first, uint32_t count, char *out)
{
    uint32_t from = first * DISK_PIECE;
    uint32_t size = (count - 1) * DISK_PIECE + piece_size(f->body, first + count - 1);
    ssize_t n = fd_pread_full(fd, out, size, from);
    if (n < 0)
        return (int)n;
    if ((size_t)n != size)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        if (sum_of(out + (size_t)i * DISK_PIECE, piece_size(f->body, first + i)) != f->sums[first + i])
            return -EBADMSG;
    }
    return 0;
}

/* Some bytes of one piece. */
static int read_part(int fd, const struct disk_file *f, uint32_t from, uint32_t size, char *out)
{
    char piece[DISK_PIECE];
    int rc = read_pieces(fd, f, from / DISK_PIECE, 1, piece);
    if (rc == 0)
        memcpy(out, piece + from % DISK_PIECE, size);
    return rc;
}

int disk_file_read(int fd, const struct disk_file *f, uint32_t from, uint32_t size, char *out)
{
    CHECK(size > 0 && from < f->body && size <= f->body - from);
    int rc = fault_point("disk.read");
    while (size > 0 && rc == 0) {
        uint32_t piece = from / DISK_PIECE, whole = size / DISK_PIECE, part;
        if (from % DISK_PIECE == 0 && from + size == f->body) /* the last one too */
            whole = pieces_of(f->body) - piece;
        if (from % DISK_PIECE == 0 && whole > 0) {
            part = whole * DISK_PIECE < size ? whole * DISK_PIECE : size;
            rc = read_pieces(fd, f, piece, whole, out);
        } else {
            uint32_t left = DISK_PIECE - from % DISK_PIECE;
            part = left < size ? left : size;
            rc = read_part(fd, f, from, part, out);
        }
        from += part;
        out += part;
        size -= part;
    }
    return rc;
}

int disk_file_set_slot(int fd, const struct disk_file *f, uint32_t slot)
{
    uint64_t at = disk_file_size(f->body) - sizeof(struct footer) + offsetof(struct footer, slot);
    return fd_pwrite_all(fd, &slot, sizeof(slot), at);
}
