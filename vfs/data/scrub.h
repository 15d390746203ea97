/* The blocks in the object store, beside the slices that should be there: what is missing, what is too much. Works without an open
 * data layer; reads the store only, but for data_delete_block.
 *
 * Nothing here is final: other clients write and delete meanwhile. Who calls asks the metadata again (meta_probe) and then
 * looks at the single block again. Memory: a thousand slices a thread; with a hash prefix those of a million ids.
 * Callbacks come from several threads, one at a time; not 0 ends the work with it. */
#ifndef VFS_DATA_SCRUB_H
#define VFS_DATA_SCRUB_H

#include "base/job.h"
#include "vfs/data/block.h"
#include "vfs/meta/mentions.h"
#include "vfs/meta/settings.h"
#include "vfs/store/store.h"

struct data_scrub;

/* store is borrowed. -ENOTSUP or -EINVAL with a sentence in *out_error, as data_open. */
MUST_USE int data_scrub_open(struct store *store, const struct meta_settings *settings, uint32_t threads, struct job *job,
                             struct data_scrub **out, const char **out_error);
/* NULL is fine. */
void data_scrub_close(struct data_scrub *s);
struct str data_scrub_key(const struct data_scrub *s, const struct block_id *b, char out[BLOCK_KEY_MAX]);

/* A single block: 0, -ENOENT, -EMSGSIZE (its object cannot be of that size), with verify -EBADMSG (its bytes are
 * not that block), or the store's error. */
MUST_USE int data_check_block(struct data_scrub *s, const struct block_id *b, bool verify);
MUST_USE int data_delete_block(struct data_scrub *s, const struct block_id *b);

struct data_check_options {
    bool verify;         /* reads and decodes each block */
    uint32_t sample_ppm; /* of the slices, others in each process; 0: all */
    /* A block that is not as it should be; error as data_check_block. */
    int (*fn)(void *arg, const struct block_id *b, int error);
    void *arg;
};
struct data_check_result {
    uint64_t slices, blocks, bytes; /* looked at; plain bytes */
};
/* The blocks of the needed slices. -ECANCELED: the job was stopped. A listing that fails ends it with the store's error. */
MUST_USE int data_check_blocks(struct data_scrub *s, const struct meta_mentions *mentions, const struct data_check_options *options,
                               struct data_check_result *out);

enum data_object_state {
    DATA_OBJECT_USED,    /* mentioned, in use or waiting to be deleted */
    DATA_OBJECT_NEW,     /* maybe an upload that is not committed yet */
    DATA_OBJECT_LEAKED,  /* of no slice, or of another size than the slice's block */
    DATA_OBJECT_UNKNOWN, /* no block's name */
    DATA_OBJECT_STATES
};
struct data_list_options {
    int64_t before_ns; /* objects that are as new as this or newer are DATA_OBJECT_NEW */
    /* A leaked one. */
    int (*fn)(void *arg, const struct block_id *b, uint64_t object_size);
    void *arg;
};
struct data_list_result {
    uint64_t objects[DATA_OBJECT_STATES], bytes[DATA_OBJECT_STATES]; /* as stored */
};
/* Lists all objects under chunks/, folder by folder in parallel. */
MUST_USE int data_list_leaked(struct data_scrub *s, const struct meta_mentions *mentions, const struct data_list_options *options,
                              struct data_list_result *out);
/* How far the store's clock is ahead of ours (negative: behind), by an object that is put and deleted again under testing/. */
MUST_USE int data_clock_skew(struct data_scrub *s, int64_t *out_ns);

#endif
