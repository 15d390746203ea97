/* .accesslog, .control, .stats and .config at the root of the mount (format §10.3). .trash is the volume's own. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "vfs/fuse/fuse_internal.h"

#define VIRTUAL_INO 0x7FFFFFFF00000000ull /* §6.5 */

enum { ACCESS_LOG, STATS, CONFIG, CONTROL };
const struct vfuse_virtual vfuse_virtuals[VFUSE_VIRTUAL_COUNT] = {
    [ACCESS_LOG] = {VIRTUAL_INO + 1, ".accesslog", 0400},
    [STATS] = {VIRTUAL_INO + 3, ".stats", 0444},
    [CONFIG] = {VIRTUAL_INO + 4, ".config", 0400},
    [CONTROL] = {VIRTUAL_INO + 2, ".control", 0666},
};

bool vfuse_is_control(const struct vfuse_virtual *f)
{
    return f == &vfuse_virtuals[CONTROL];
}

const struct vfuse_virtual *vfuse_control_by_name(struct str name)
{
    return str_is(name, vfuse_virtuals[CONTROL].name) ? &vfuse_virtuals[CONTROL] : NULL;
}

const struct vfuse_virtual *vfuse_virtual_by_name(const struct vfuse *v, meta_ino parent, struct str name)
{
    for (size_t i = 0; parent == v->root && i < VFUSE_VIRTUAL_COUNT; i++) {
        if (str_is(name, vfuse_virtuals[i].name))
            return &vfuse_virtuals[i];
    }
    return NULL;
}

const struct vfuse_virtual *vfuse_virtual_by_ino(meta_ino ino)
{
    for (size_t i = 0; i < VFUSE_VIRTUAL_COUNT; i++) {
        if (ino == vfuse_virtuals[i].ino)
            return &vfuse_virtuals[i];
    }
    return NULL;
}

bool vfuse_has_trash(const struct vfuse *v)
{
    return v->root == META_ROOT;
}

bool vfuse_is_reserved(const struct vfuse *v, meta_ino parent, struct str name)
{
    return parent == v->root &&
           (vfuse_virtual_by_name(v, parent, name) || (vfuse_has_trash(v) && str_is(name, META_TRASH_NAME)));
}

void vfuse_virtual_attr(const struct vfuse *v, const struct vfuse_virtual *f, struct meta_attr *out)
{
    struct timespec now = {.tv_sec = (time_t)clock_wall_s()};
    *out = (struct meta_attr){
        .type = META_FILE,
        .mode = f->mode,
        .uid = geteuid(),
        .gid = getegid(),
        .nlink = 1,
        .parent = v->root,
        .atime = now,
        .mtime = now,
        .ctime = now,
    };
}

static void add_cache_config(const struct vfuse_options *o, struct buf *out)
{
    const struct vfs_cache_options *c = &o->cache;
    buf_addz(out, ",\n \"Chunk\": {\n  \"CacheDir\": ");
    buf_add_json(out, str_z(c->dirs && c->bytes_max > 0 ? c->dirs : "memory"));
    buf_addf(out, ",\n  \"CacheMode\": %d,\n  \"CacheSize\": %llu,\n  \"CacheItems\": %llu,\n  \"FreeSpace\": %g,\n  \"BufferSize\": %llu\n }",
             c->mode, (unsigned long long)c->bytes_max, (unsigned long long)c->items_max, c->free_min, (unsigned long long)o->memory);
}

static void add_config(struct vfuse *v, struct buf *out)
{
    const struct vfuse_options *o = &v->options;
    CLEANUP(meta_settings_freep) struct meta_settings *settings = meta_settings_copy(v->meta);
    buf_addz(out, "{\n \"MetaUrl\": ");
    buf_add_json(out, str_z(o->url)); /* no more than the command line says */
    buf_addz(out, ",\n \"Meta\": {\n  \"MountPoint\": ");
    buf_add_json(out, str_z(o->mount_point));
    buf_addz(out, ",\n  \"Subdir\": ");
    buf_add_json(out, str_z(o->subdir));
    buf_addf(out, ",\n  \"ReadOnly\": %s,\n  \"NoBGJob\": %s,\n  \"Sid\": %llu\n },\n \"Format\": ", o->read_only ? "true" : "false",
             o->no_background ? "true" : "false", (unsigned long long)meta_session_id(v->meta));
    meta_settings_show(settings, out);
    add_cache_config(o, out);
    buf_addz(out, ",\n \"Version\": ");
    buf_add_json(out, STR(META_CLIENT_VERSION));
    buf_addf(out, ",\n \"AttrTimeout\": %.0f,\n \"EntryTimeout\": %.0f,\n \"DirEntryTimeout\": %.0f,\n \"NegEntryTimeout\": %.0f",
             o->attr_cache_s * 1e9, o->entry_cache_s * 1e9, o->dir_entry_cache_s * 1e9, o->negative_cache_s * 1e9);
    buf_addf(out, ",\n \"HideInternal\": %s,\n \"Pid\": %d,\n \"PPid\": %d\n}\n", o->hide_internal ? "true" : "false", (int)getpid(),
             (int)getppid());
}

void vfuse_virtual_open(struct vfuse *v, const struct vfuse_virtual *f, struct vfuse_handle *h)
{
    if (f == &vfuse_virtuals[ACCESS_LOG])
        h->reader = vfuse_log_open(v->log);
    else if (vfuse_is_control(f))
        h->control = vfuse_control_new(v);
    else if (f == &vfuse_virtuals[STATS])
        vfuse_add_stats(v, &h->text);
    else
        add_config(v, &h->text);
}
