#include "vfs/jfs/client.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "vfs/meta/settings.h"

#define PREFIX_MAX 256

/* Of the blocks of files in no tier: where tiers are defined (1.4), that of the first, else the volume's. */
static struct str storage_class(const struct meta_settings *s, struct arena *arena)
{
    const struct json *tiers = s->tiers.len > 0 ? json_parse(s->tiers, LIMIT_SETTINGS_BYTES, LIMIT_SETTINGS_DEPTH, arena, NULL) : NULL;
    const struct json *class = json_member(json_member(tiers, "0"), "StorageClass");
    return class && class->kind == JSON_IS_TEXT ? class->text : s->storage_class;
}

static int open_store(const struct meta_settings *settings, bool no_sync, uint32_t patience_ms, struct store **out,
                      const char **out_error)
{
    static _Thread_local char text[512];
    char prefix[PREFIX_MAX];
    int len = snprintf(prefix, sizeof(prefix), "%.*s/", STR_ARG(settings->name));
    if (len < 0 || (size_t)len >= sizeof(prefix))
        return -EINVAL;
    struct arena *arena = arena_new();
    const struct store_config config = {
        .storage = settings->storage,
        .bucket = settings->bucket,
        .access_key = settings->access_key,
        .secret_key = settings->secret_key,
        .session_token = settings->session_token,
        .storage_class = storage_class(settings, arena),
        .prefix = str_z(prefix),
        .shards = settings->shards,
        .no_sync = no_sync,
        .patience_ms = patience_ms,
        .stall_timeout_ms = patience_ms < LIMIT_STORE_STALL_TIMEOUT_MS ? patience_ms : 0,
        .connect_timeout_ms = patience_ms < LIMIT_STORE_CONNECT_TIMEOUT_MS ? patience_ms : 0,
    };
    CLEANUP(buf_done) struct buf why = buf_make(sizeof(text));
    int r = store_open(&config, out, &why);
    arena_free(arena);
    if (r < 0) {
        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&why)));
        *out_error = text;
        return r;
    }
    store_complete(*out);
    return 0;
}

int jfs_store_open(const struct meta_settings *settings, bool no_sync, struct store **out, const char **out_error)
{
    return open_store(settings, no_sync, 0, out, out_error);
}

static void honour(void *store, const struct meta_settings *settings)
{
    store_set_limits(store, settings->upload_limit_mbps, settings->download_limit_mbps);
}

int jfs_client_open(struct str url, const struct jfs_client_options *options, struct jfs_client *out, const char **out_error)
{
    *out = (struct jfs_client){0};
    int r = meta_open(url, &options->meta, &out->meta, out_error);
    if (r < 0)
        return r;
    CLEANUP(meta_settings_freep) struct meta_settings *settings = meta_settings_copy(out->meta);
    r = open_store(settings, options->no_sync, options->store_patience_ms, &out->store, out_error);
    if (r == 0)
        meta_on_settings(out->meta, honour, out->store);
    if (r == 0)
        r = data_open(out->store, out->meta, settings, &options->data, &out->data, out_error);
    if (r < 0)
        jfs_client_close(out);
    return r;
}

/* The metadata's duties use the data layer, which uses the metadata: duties end first (meta_stop), the metadata last. */
static void close_by(struct jfs_client *c, void (*close_meta)(struct meta *m))
{
    meta_stop(c->meta);
    if (c->meta)
        meta_on_settings(c->meta, NULL, NULL);
    if (c->meta)
        meta_set_data_callbacks(c->meta, NULL, NULL, NULL); /* the session's end removes files: their data is for the next hourly duty */
    data_close(c->data);
    close_meta(c->meta);
    store_close(c->store);
    *c = (struct jfs_client){0};
}

void jfs_client_close(struct jfs_client *c)
{
    close_by(c, meta_close);
}

void jfs_client_leave(struct jfs_client *c)
{
    close_by(c, meta_leave);
}
