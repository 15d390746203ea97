/* The bytes of a JuiceFS-format volume's files: slices of blocks in an object store, read through a bounded cache, written
 * into slices that are committed to the metadata when all their blocks are durable.
 *
 * Reading: blocks are cached in memory as a whole, loaded once whoever asks; who reads on is read ahead for; small pieces from
 * the middle of a block are fetched alone where blocks are stored as they are. Writing: contiguous writes of a chunk gather in one
 * slice; full blocks are uploaded at once, the rest at a flush, after some seconds, or when memory runs short. Memory is bounded
 * by data_options.memory (budget.h): who reads ahead is refused first, then readers and writers wait.
 *
 * Errors: negative errno. -EIO: a block is missing or damaged, or the store fails; -ENOSPC, -EDQUOT and -ENOENT (the file has
 * gone) from commits. Thread: any; everything may block. */
#ifndef VFS_DATA_DATA_H
#define VFS_DATA_DATA_H

#include <sys/types.h>

#include "base/compiler.h"
#include "base/str.h"
#include "vfs/cache_options.h"
#include "vfs/meta/meta.h"
#include "vfs/meta/settings.h"
#include "vfs/store/store.h"

struct data;
struct data_writer;

struct data_options {
    uint64_t memory;       /* bytes of blocks, writers and buffers together; 0: the default */
    uint64_t write_wait_ms; /* how long data_writer_write waits for memory: then -EBUSY; 0: for ever */
    uint32_t uploads, downloads; /* at a time; 0: the defaults */
    bool read_only;
    struct vfs_cache_options disk;
};

/* Block size, compression, encryption, hash prefix come from the settings (copied); the passphrase of an encryption key from
 * JFS_RSA_PASSPHRASE. store and meta are borrowed until data_close. Sets meta's data callbacks (meta_set_data_callbacks).
 * -ENOTSUP or -EINVAL with a sentence in *out_error: the settings say what is not honoured, or the key cannot be read. */
MUST_USE int data_open(struct store *store, struct meta *meta, const struct meta_settings *settings,
                       const struct data_options *options, struct data **out, const char **out_error);
/* All writers are closed, and meta calls back no more. NULL is fine. */
void data_close(struct data *d);

/* Bytes [offset, offset+size) of the file; what no slice covers is zeros. The caller clips at the file's length. Returns size.
 * Sees what was committed, by anyone, when it began (close-to-open: see data_forget). */
MUST_USE ssize_t data_read(struct data *d, meta_ino ino, uint64_t offset, void *out, size_t size);
/* The same from memory, for threads that may not wait: -EAGAIN where it is not there. */
MUST_USE ssize_t data_read_nowait(struct data *d, meta_ino ino, uint64_t offset, void *out, size_t size);
/* A piece of a file's bytes in the memory of the cache. They do not change. */
struct cached_block;
struct data_loan {
    struct str bytes;
    struct cached_block *block; /* private */
};
/* Lends the first of the bytes [offset, offset+size) of the file, all that are in one block, loading it if need be. Other
 * errors than -EAGAIN are those of data_read, which is to be asked on -EAGAIN: too much is lent (half of the memory is the most), or
 * it would not pay. The loan is kept as long as somebody takes to receive the bytes, and ends before the data is closed. */
MUST_USE int data_lend(struct data *d, meta_ino ino, uint64_t offset, uint64_t size, struct data_loan *out);
/* Thread: any; never waits. */
void data_loan_done(struct data *d, struct data_loan *l);
/* What is known of the file's chunks may be old: others have changed it (truncate, copy, a newer mtime seen at open). */
void data_forget(struct data *d, meta_ino ino);
/* The file's attributes, at every open: unless it is in the state in which it was last seen, it is forgotten as by data_forget. True
 * when it is: whatever was read of it since then still holds. */
bool data_see(struct data *d, meta_ino ino, const struct meta_attr *attr);

/* Where the slices of one writer are committed instead of in the metadata, as by meta_write_slice. */
struct data_commit {
    int (*write_slice)(void *arg, uint32_t indx, uint32_t off, const struct meta_slice *slice, const struct timespec *mtime);
    void *arg;
};
/* For one open file; several threads may write ranges that do not overlap. commit (may be NULL) is copied. */
MUST_USE int data_writer_open(struct data *d, meta_ino ino, const struct data_commit *commit, struct data_writer **out);
/* -EBUSY: no memory for data_options.write_wait_ms; some of the bytes may be taken. */
MUST_USE int data_writer_write(struct data_writer *w, struct str bytes, uint64_t offset);
/* All that was written so far is durable and committed. An error is reported by every flush after it. Nothing to do is cheap. */
MUST_USE int data_writer_flush(struct data_writer *w);
/* Length of the file with what is not committed yet: at least `length`. */
uint64_t data_writer_length(struct data_writer *w, uint64_t length);
/* Flushes; who wants to know how it went flushes before. */
void data_writer_close(struct data_writer *w);

/* The blocks of a slice that nothing mentions, after all, go some time soon; those that do not are found by gc. */
void data_discard_slice(struct data *d, uint64_t id, uint32_t size);
/* The blocks of a slice of `size` bytes are no longer in the store. After an error some of them may be. */
MUST_USE int data_delete_slice(struct data *d, uint64_t id, uint32_t size);
/* Writes what the pieces are together (zeros for id 0) as the blocks of slice new_id, durable when it returns 0. After an error
 * none of them is left, as far as can be told. */
MUST_USE int data_merge_slices(struct data *d, const struct meta_slice *pieces, size_t count, uint64_t new_id);

/* The cache on disk, filled, looked at or emptied by the blocks of files (`sluice warmup`). */
enum data_warm_action { DATA_WARM_FILL, DATA_WARM_CHECK, DATA_WARM_EVICT };
struct data_warm_count {
    uint64_t blocks, bytes;             /* met; a block of several pieces as often */
    uint64_t there_blocks, there_bytes; /* that were cached before */
    uint64_t done_blocks, done_bytes;   /* that were put there, or evicted */
    uint64_t failed_blocks;
    int error; /* of the last that failed; -ENOSPC: the cache has no room, -ENODEV: its disk is off */
};
/* Has the memory of one block, compressed two; one for each thread. The data has a cache on disk. */
struct data_warmer;
struct data_warmer *data_warmer_new(struct data *d, enum data_warm_action action);
void data_warmer_free(struct data_warmer *w);
/* The first `size` bytes of one chunk. Adds to *count. */
MUST_USE int data_warm_chunk(struct data_warmer *w, meta_ino ino, uint32_t indx, uint32_t size, struct data_warm_count *count);
bool data_has_disk(const struct data *d);

/* Puts an object that is no block, as `juicefs_uuid`: encrypted when the volume is, never compressed. Before data_open, or without.
 */
MUST_USE int data_put_plain(struct store *store, const struct meta_settings *settings, struct str key, struct str body,
                            const char **out_error);

#endif
