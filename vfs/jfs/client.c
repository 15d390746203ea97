#include "vfs/jfs/client.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/settings.h"

#define PREFIX_MAX 256

/* Of the blocks of files in no tier: where tiers are defined (1.4), that of the first, else the volume's. */
static struct str storage_class(const struct meta_settings *s, struct arena *arena)
{
    const struct json *tiers = s->tiers.len > 0 ? json_parse(s->tiers, LIMIT_SETTINGS_BYTES, LIMIT_SETTINGS_DEPTH, arena, NULL) : NULL;
    const struct json *class = json_member(json_member(tiers, "0"), "StorageClass");
    return class && class->kind == JSON_IS_TEXT ? class->text : s->storage_class;
}

/* Opens a store, or changes one. */
typedef int (*store_fn)(const struct store_config *config, struct store **store, struct buf *why);

static int with_store(const struct meta_settings *settings, bool no_sync, uint32_t patience_ms, store_fn fn, struct store **store,
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
    int r = fn(&config, store, &why);
    arena_free(arena);
    if (r < 0) {
        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&why)));
        *out_error = text;
    }
    return r;
}

static int open_store(const struct meta_settings *settings, bool no_sync, uint32_t patience_ms, struct store **out,
                      const char **out_error)
{
    int r = with_store(settings, no_sync, patience_ms, store_open, out, out_error);
    if (r == 0)
        store_complete(*out);
    return r;
}

int jfs_store_open(const struct meta_settings *settings, bool no_sync, struct store **out, const char **out_error)
{
    return open_store(settings, no_sync, 0, out, out_error);
}

/* Settings that change */

static int change_store(const struct store_config *config, struct store **store, struct buf *why)
{
    return store_change(*store, config, why);
}

static bool is_same_store(const struct meta_settings *a, const struct meta_settings *b)
{
    return str_eq(a->storage, b->storage) && str_eq(a->bucket, b->bucket) && str_eq(a->access_key, b->access_key) &&
           str_eq(a->secret_key, b->secret_key) && str_eq(a->session_token, b->session_token) &&
           str_eq(a->storage_class, b->storage_class) && str_eq(a->tiers, b->tiers);
}

/* What cannot be used leaves the store as it is until the settings change once more. */
static void honour(void *arg, const struct meta_settings *settings)
{
    struct jfs_client *c = arg;
    const char *why = "";
    store_set_limits(c->store, settings->upload_limit_mbps, settings->download_limit_mbps);
    if (is_same_store(c->store_settings, settings))
        return;
    if (with_store(settings, c->no_sync, c->store_patience_ms, change_store, &c->store, &why) < 0)
        log_warn("store_not_changed", "bucket=\"%.*s\" error=\"%s\"", STR_ARG(settings->bucket), why);
    else
        log_info("store_changed", "storage=%.*s bucket=\"%.*s\" access_key=%.*s", STR_ARG(settings->storage),
                 STR_ARG(settings->bucket), STR_ARG(settings->access_key));
    meta_settings_free(c->store_settings);
    c->store_settings = meta_settings_dup(settings);
}

int jfs_client_open(struct str url, const struct jfs_client_options *options, struct jfs_client *out, const char **out_error)
{
    *out = (struct jfs_client){.no_sync = options->no_sync, .store_patience_ms = options->store_patience_ms};
    int r = meta_open(url, &options->meta, &out->meta, out_error);
    if (r < 0)
        return r;
    CLEANUP(meta_settings_freep) struct meta_settings *settings = meta_settings_copy(out->meta);
    out->store_settings = meta_settings_dup(settings);
    r = open_store(settings, options->no_sync, options->store_patience_ms, &out->store, out_error);
    if (r == 0)
        meta_on_settings(out->meta, honour, out);
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
    meta_settings_free(c->store_settings);
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
