/* Reads and writes files of a JuiceFS-format volume's root, for tests/interop/data:
 *   jfs_data get META-URL NAME        to standard output
 *   jfs_data put META-URL NAME        from standard input; the file is made when it is not there, and overwritten from 0
 *   jfs_data uuid META-URL            writes juicefs_uuid again */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "vfs/data/data.h"
#include "vfs/meta/settings.h"

#define PIECE (1000 * 1000) /* no multiple of any block */

static int fail(const char *what, int rc, const char *why)
{
    (void)fprintf(stderr, "%s: %s%s%s\n", what, strerror(-rc), why ? ": " : "", why ? why : "");
    return 1;
}

static int open_store(const struct meta_settings *s, struct store **out)
{
    char prefix[128], text[256];
    struct buf why = buf_over(text, sizeof(text));
    int len = snprintf(prefix, sizeof(prefix), "%.*s/", STR_ARG(s->name));
    const struct store_config config = {.storage = s->storage, .bucket = s->bucket, .access_key = s->access_key,
                                        .secret_key = s->secret_key, .session_token = s->session_token,
                                        .shards = s->shards, .prefix = str_of(prefix, (size_t)len)};
    int rc = store_open(&config, out, &why);
    if (rc < 0)
        (void)fail("store", rc, buf_z(&why));
    return rc;
}

static int get(struct data *d, struct meta *m, struct str name)
{
    meta_ino ino;
    struct meta_attr attr;
    int rc = meta_lookup(m, NULL, META_ROOT, name, &ino, &attr);
    if (rc < 0)
        return fail("lookup", rc, NULL);
    char *out = malloc(PIECE);
    CHECK(out != NULL);
    for (uint64_t at = 0; at < attr.length; at += PIECE) {
        size_t size = attr.length - at < PIECE ? (size_t)(attr.length - at) : PIECE;
        ssize_t n = data_read(d, ino, at, out, size);
        if (n < 0)
            return fail("read", (int)n, NULL);
        CHECK(fwrite(out, 1, size, stdout) == size);
    }
    free(out);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int put(struct data *d, struct meta *m, struct str name)
{
    meta_ino ino;
    struct meta_attr attr;
    struct data_writer *w;
    int rc = meta_create(m, NULL, META_ROOT, name, 0644, 022, false, &ino, &attr);
    if (rc < 0)
        return fail("create", rc, NULL);
    CHECK(data_writer_open(d, ino, NULL, &w) == 0);
    char *in = malloc(PIECE);
    CHECK(in != NULL);
    uint64_t at = 0;
    for (size_t n; rc == 0 && (n = fread(in, 1, PIECE, stdin)) > 0; at += n)
        rc = data_writer_write(w, str_of(in, n), at);
    if (rc == 0)
        rc = data_writer_flush(w);
    data_writer_close(w);
    meta_node_close(m, ino);
    free(in);
    return rc < 0 ? fail("write", rc, NULL) : 0;
}

int main(int argc, char **argv)
{
    const char *why = NULL;
    const struct meta_options meta_options = {.no_background = true};
    const struct data_options data_options = {0};
    struct meta *m;
    struct store *store;
    struct data *d;
    CHECK(argc >= 3);
    int rc = meta_open(str_z(argv[2]), &meta_options, &m, &why);
    if (rc < 0)
        return fail("metadata", rc, why);
    struct meta_settings *settings = meta_settings_copy(m);
    if (open_store(settings, &store) < 0)
        return 1;
    rc = data_open(store, m, settings, &data_options, &d, &why);
    if (rc < 0)
        return fail("data", rc, why);
    int status;
    if (str_is(str_z(argv[1]), "uuid")) {
        rc = data_put_plain(store, settings, STR("juicefs_uuid"), settings->uuid, &why);
        status = rc < 0 ? fail("uuid", rc, why) : 0;
    } else {
        CHECK(argc == 4);
        status = str_is(str_z(argv[1]), "put") ? put(d, m, str_z(argv[3])) : get(d, m, str_z(argv[3]));
    }
    data_close(d);
    store_close(store);
    meta_settings_free(settings);
    meta_close(m);
    return status;
}
