/* Data over the metadata and the settings of a volume. */
#include <errno.h>
#include <stdlib.h>

#include "vfs/data/data_internal.h"

#define PASSPHRASE_VARIABLE "JFS_RSA_PASSPHRASE" /* the official client's */

static int read_chunk(void *arg, meta_ino ino, uint32_t indx, struct meta_slice **out, size_t *out_count)
{
    return meta_read_chunk(arg, ino, indx, out, out_count);
}

static int new_slice(void *arg, uint64_t *out_id)
{
    return meta_new_slice(arg, out_id);
}

static int write_slice(void *arg, meta_ino ino, uint32_t indx, uint32_t off, const struct meta_slice *slice,
                       const struct timespec *mtime)
{
    return meta_write_slice(arg, ino, indx, off, slice, mtime);
}

static struct meta_stamp stamp(void *arg)
{
    return meta_stamp(arg);
}

static int on_delete(void *arg, uint64_t id, uint32_t size)
{
    return data_delete_slice(arg, id, size);
}

static int on_compact(void *arg, const struct meta_slice *pieces, size_t count, uint64_t new_id)
{
    return data_merge_slices(arg, pieces, count, new_id);
}

int data_layout_of(const struct meta_settings *s, struct data_layout *out, const char **out_error)
{
    struct data_layout l = {.block_size = s->block_size_kib * 1024, .hash_prefix = s->hash_prefix};
    if (s->block_size_kib == 0 || s->block_size_kib > META_CHUNK_SIZE / 1024 ||
        META_CHUNK_SIZE / 1024 % s->block_size_kib != 0) {
        *out_error = "the volume's block size cannot be";
        return -EINVAL;
    }
    if (!compress_kind_parse(s->compression, &l.codec.compression)) {
        *out_error = "the volume's compression is none of none, lz4 and zstd";
        return -ENOTSUP;
    }
    if (s->encrypt_key.len > 0) {
        int rc = data_cipher_new(s->encrypt_key, str_z(getenv(PASSPHRASE_VARIABLE)), s->encrypt_algo, &l.codec.cipher,
                                 out_error);
        if (rc < 0)
            return rc;
    }
    *out = l;
    return 0;
}

int data_open(struct store *store, struct meta *meta, const struct meta_settings *settings,
              const struct data_options *options, struct data **out, const char **out_error)
{
    const struct data_source source = {meta, read_chunk, new_slice, write_slice, stamp};
    struct data_layout layout;
    int rc = data_layout_of(settings, &layout, out_error);
    if (rc < 0)
        return rc;
    struct data *d = data_new(store, &source, &layout, options, settings->uuid);
    meta_set_data_callbacks(meta, on_delete, on_compact, d);
    *out = d;
    return 0;
}

int data_put_plain(struct store *store, const struct meta_settings *settings, struct str key, struct str body,
                   const char **out_error)
{
    struct data_layout layout;
    int rc = data_layout_of(settings, &layout, out_error);
    if (rc < 0)
        return rc;
    rc = data_put_object(store, &layout, key, body);
    data_cipher_free(layout.codec.cipher);
    if (rc < 0)
        *out_error = "the object store does not take an object";
    return rc;
}
