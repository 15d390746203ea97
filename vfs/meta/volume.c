/* Volumes: formatting, opening, and the setting record while one is open (§1). */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "vfs/meta/settings.h"
#include "vfs/meta/upkeep.h"

/* The line that meta_open and meta_format point at. */
static _Thread_local char line[512];

static int fail(const char **out_error, const struct buf *error, int rc)
{
    struct str text = str_first(buf_str(error), sizeof(line) - 1);
    memcpy(line, text.len ? text.ptr : "", text.len);
    line[text.len] = '\0';
    *out_error = line;
    return rc;
}

/* The setting record */

struct setting_call {
    struct buf record;
};

static int setting_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct setting_call *c = arg;
    buf_reset(&c->record);
    return META_DO(t, setting_get, "format", &c->record);
}

static void take_over(struct meta *m, struct meta_settings *s)
{
    const struct meta_features f = {.trash_days = s->trash_days,
                                    .acl = s->enable_acl,
                                    .dir_stats = s->dir_stats,
                                    .owner_quotas = s->user_group_quota,
                                    .capacity = s->capacity,
                                    .inodes = s->inodes};
    mutex_lock(&m->lock);
    struct meta_settings *old = m->settings;
    m->settings = s;
    m->features = f;
    mutex_unlock(&m->lock);
    meta_settings_free(old);
}

/* on_settings_lock is held. */
static void tell_settings(struct meta *m)
{
    CLEANUP(meta_settings_freep) struct meta_settings *s = m->on_settings ? meta_settings_copy(m) : NULL;
    if (s)
        m->on_settings(m->on_settings_arg, s);
}

void meta_on_settings(struct meta *m, meta_settings_fn fn, void *arg)
{
    mutex_lock(&m->on_settings_lock);
    m->on_settings = fn;
    m->on_settings_arg = arg;
    tell_settings(m);
    mutex_unlock(&m->on_settings_lock);
}

static int read_settings(struct meta *m, struct meta_settings **out, struct buf *error)
{
    struct setting_call c = {.record = buf_make(LIMIT_SETTINGS_BYTES)};
    int rc = meta_transact(m, META_TXN_READ, setting_txn, &c);
    if (rc == -ENOENT) {
        buf_addz(error, "the database is not formatted; `sluice format` makes a volume");
        rc = -ENODATA;
    } else if (rc < 0) {
        buf_addf(error, "the setting record cannot be read: %s", strerror(-rc));
    } else {
        rc = meta_settings_parse(buf_str(&c.record), out, error);
    }
    if (c.record.ptr)
        secure_zero(c.record.ptr, c.record.len);
    buf_done(&c.record);
    return rc;
}

/* Periodic reloads look at the generation and the identity only (§1.3). */
int meta_settings_reload(struct meta *m, struct buf *error)
{
    struct meta_settings *s = NULL;
    int rc = read_settings(m, &s, error);
    if (rc == -ENODATA)
        m->lost = true;
    if (rc < 0)
        return rc;
    if (m->settings && (s->meta_version > META_VERSION || !str_eq(s->uuid, m->settings->uuid))) {
        m->lost = true;
        buf_addz(error, "the volume was formatted anew, or upgraded, while it was open");
        meta_settings_free(s);
        return -ENODATA;
    }
    take_over(m, s);
    mutex_lock(&m->on_settings_lock);
    tell_settings(m);
    mutex_unlock(&m->on_settings_lock);
    return 0;
}

struct meta_settings *meta_settings_copy(struct meta *m)
{
    mutex_lock(&m->lock);
    struct meta_settings *copy = meta_settings_dup(m->settings);
    mutex_unlock(&m->lock);
    return copy;
}

/* Opening */

static int begin(struct meta *m, struct buf *error)
{
    int rc = meta_settings_reload(m, error);
    if (rc == 0)
        rc = meta_settings_check(m->settings, error);
    if (rc < 0)
        return rc;
    rc = m->options.read_only ? 0 : m->engine->ops->prepare(m->engine);
    if (rc == 0)
        rc = meta_quotas_load(m);
    if (rc == 0)
        rc = meta_session_start(m);
    if (rc < 0)
        buf_addf(error, "the metadata cannot be read or written: %s", strerror(-rc));
    return rc;
}

int meta_open(struct str url, const struct meta_options *options, struct meta **out, const char **out_error)
{
    const struct meta_engine_options engine_options = {
        .read_only = options->read_only, .no_sync = options->no_sync, .lazy = options->lazy};
    struct meta_engine *engine;
    int rc = meta_engine_open(url, &engine_options, &engine, out_error);
    if (rc < 0)
        return rc;
    struct meta *m = meta_new(engine, options);
    struct buf error = buf_make(sizeof(line));
    rc = begin(m, &error);
    if (rc < 0) {
        rc = fail(out_error, &error, rc);
        meta_close(m);
    } else {
        *out = m;
    }
    buf_done(&error);
    return rc;
}

void meta_close(struct meta *m)
{
    if (!m)
        return;
    meta_session_stop(m);
    int rc = meta_sync(m);
    if (rc < 0)
        log_warn("metadata_not_synced", "errno=%d", -rc);
    meta_settings_free(m->settings);
    meta_free(m);
}

void meta_stop(struct meta *m)
{
    if (m)
        meta_duties_stop(m);
}

void meta_leave(struct meta *m)
{
    m->leaving = true;
    meta_close(m);
}

uint64_t meta_session_id(const struct meta *m)
{
    return m->sid;
}

/* Formatting */

struct format_call {
    const struct meta_settings *settings;
    bool force;
};

static int new_directory(struct meta_txn *t, meta_ino ino, uint16_t mode)
{
    const struct timespec now = meta_now();
    const struct meta_attr attr = {.type = META_DIRECTORY, .mode = mode,   .nlink = 2,   .length = 4096,
                                   .parent = META_ROOT,    .atime = now, .mtime = now, .ctime = now};
    return META_DO(t, node_insert, ino, &attr);
}

static int new_trash(struct meta_txn *t, const struct meta_settings *s)
{
    struct meta_attr attr;
    int rc = s->trash_days > 0 ? META_DO(t, node_get, META_TRASH, true, &attr) : 0;
    return rc == -ENOENT ? new_directory(t, META_TRASH, 0555) : rc;
}

/* The values of a new volume's counters (§1.5). */
static int new_counters(struct meta_txn *t)
{
    static const struct {
        const char *name;
        int64_t value;
    } counters[] = {{"nextInode", 2}, {"nextChunk", 1},   {"nextSession", 0},
                    {"usedSpace", 0}, {"totalInodes", 0}, {"nextCleanupSlices", 0}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(counters); i++)
        rc = META_DO(t, counter_put, counters[i].name, counters[i].value);
    return rc;
}

/* A volume that gets other settings stays the same volume: its clients go on. */
static int put_setting(struct meta_txn *t, const struct meta_settings *s, struct str old_record)
{
    CLEANUP(meta_settings_freep) struct meta_settings *old = NULL;
    struct meta_settings new = *s;
    struct buf record = buf_make(LIMIT_SETTINGS_BYTES), error = buf_make(sizeof(line));
    if (old_record.len > 0 && meta_settings_parse(old_record, &old, &error) == 0)
        new.uuid = old->uuid;
    buf_done(&error);
    meta_settings_write(&new, &record);
    int rc = record.failed ? -E2BIG : META_DO(t, setting_put, "format", buf_str(&record));
    buf_done(&record);
    return rc;
}

static int format_nodes(struct meta_txn *t, const struct format_call *c, bool formatted)
{
    struct meta_attr root;
    int rc = META_DO(t, node_get, META_ROOT, true, &root);
    if (rc == 0 && !formatted)
        return -EEXIST; /* nodes without a setting: somebody's damaged volume */
    rc = rc == -ENOENT ? new_directory(t, META_ROOT, 0777) : rc;
    if (rc == 0)
        rc = new_trash(t, c->settings);
    return rc == 0 && !formatted ? new_counters(t) : rc;
}

static int format_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    const struct format_call *c = arg;
    struct setting_call old = {.record = buf_make(LIMIT_SETTINGS_BYTES)};
    int rc = setting_txn(m, t, &old);
    if (rc == 0 && !c->force)
        rc = -EEXIST;
    else if (rc == 0 || rc == -ENOENT)
        rc = format_nodes(t, c, rc == 0);
    if (rc == 0)
        rc = put_setting(t, c->settings, buf_str(&old.record));
    buf_done(&old.record);
    return rc;
}

int meta_format(struct str url, const struct meta_settings *settings, bool force, const char **out_error)
{
    const struct meta_engine_options engine_options = {.create = true};
    struct format_call c = {.settings = settings, .force = force};
    struct meta_engine *engine;
    struct buf error = buf_make(sizeof(line));
    int rc = meta_settings_check(settings, &error);
    if (rc < 0)
        rc = fail(out_error, &error, rc);
    else
        rc = meta_engine_open(url, &engine_options, &engine, out_error);
    buf_done(&error);
    if (rc < 0)
        return rc;
    struct meta *m = meta_new(engine, &(struct meta_options){0});
    rc = engine->ops->prepare(engine);
    if (rc == 0)
        rc = meta_transact(m, META_TXN_WRITE, format_txn, &c);
    meta_free(m);
    if (rc == -EEXIST)
        *out_error = "the database holds a volume already";
    else if (rc < 0)
        *out_error = strerror(-rc);
    return rc;
}
