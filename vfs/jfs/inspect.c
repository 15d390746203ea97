/* Looking at a volume: `sluice status`, `sluice info`. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/limits.h"
#include "vfs/jfs/admin.h"
#include "vfs/meta/meta.h"
#include "vfs/meta/settings.h"

static int open_to_look(struct str url, struct meta **out, struct buf *error)
{
    const struct meta_options options = {.read_only = true, .no_background = true};
    const char *why = "";
    int rc = meta_open(url, &options, out, &why);
    if (rc < 0)
        buf_addz(error, why);
    return rc;
}

/* status */

/* Each line one step further in. */
static void add_indented(struct buf *out, struct str text, const char *indent)
{
    struct str rest = text, one;
    while (str_split(&rest, '\n', &one)) {
        bool edge = str_is(one, "{") || str_is(one, "}");
        buf_addz(out, edge ? (str_is(one, "{") ? "" : "  ") : indent);
        buf_add(out, one);
        buf_addz(out, rest.ptr ? "\n" : "");
    }
}

static void add_settings(struct meta *m, struct buf *out)
{
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(m);
    struct buf record = buf_make(LIMIT_SETTINGS_BYTES);
    meta_settings_show(s, &record);
    add_indented(out, buf_str(&record), "    ");
    buf_done(&record);
}

struct session_list {
    struct buf *out;
    size_t count;
};

/* Members of the session's own record follow its number and expiry. */
static int add_session(void *arg, const struct meta_session_row *row)
{
    struct session_list *l = arg;
    char when[CLOCK_TEXT_MAX];
    struct arena *arena = arena_new();
    const struct json *info = json_parse(row->info, LIMIT_SETTINGS_BYTES, LIMIT_SETTINGS_DEPTH, arena, NULL);
    buf_addf(l->out, "%s\n    {\n      \"Sid\": %llu,\n      \"Expire\": ", l->count++ ? "," : "", (unsigned long long)row->sid);
    buf_add_json(l->out, clock_format_iso8601_ms(row->expire_s * 1000000000, when));
    for (const struct json *member = info && info->kind == JSON_IS_OBJECT ? info->first : NULL; member; member = member->next) {
        buf_addz(l->out, ",\n      ");
        buf_add_json(l->out, member->name);
        buf_addz(l->out, ": ");
        json_write(member, l->out);
    }
    buf_addz(l->out, "\n    }");
    arena_free(arena);
    return 0;
}

static void add_space(const struct meta_space *space, struct buf *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"UsedSpace", space->total_bytes - space->free_bytes},
                {"AvailableSpace", space->free_bytes},
                {"UsedInodes", space->used_inodes},
                {"AvailableInodes", space->free_inodes}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        buf_addf(out, "%s    \"%s\": %llu", i ? ",\n" : "", rows[i].name, (unsigned long long)rows[i].value);
}

static int add_status(struct meta *m, struct buf *out)
{
    struct session_list sessions = {.out = out};
    struct meta_space space;
    int rc = meta_statfs(m, META_ROOT, &space);
    if (rc < 0)
        return rc;
    buf_addz(out, "{\n  \"Setting\": ");
    add_settings(m, out);
    buf_addz(out, ",\n  \"Sessions\": [");
    rc = meta_sessions(m, add_session, &sessions);
    buf_addz(out, sessions.count ? "\n  ],\n  \"Stat\": {\n" : "],\n  \"Stat\": {\n");
    add_space(&space, out);
    buf_addz(out, "\n  }\n}\n");
    return rc < 0 ? rc : 0;
}

static int finish(struct meta *m, int rc, const struct buf *out, struct buf *error)
{
    meta_close(m);
    if (rc == 0 && out->failed)
        rc = -EFBIG;
    if (rc < 0)
        buf_addz(error, strerror(-rc));
    return rc;
}

int jfs_status(struct str url, struct buf *out, struct buf *error)
{
    struct meta *m;
    int rc = open_to_look(url, &m, error);
    return rc < 0 ? rc : finish(m, add_status(m, out), out, error);
}

/* info */

static int add_chunk(struct meta *m, meta_ino ino, uint32_t indx, struct buf *out)
{
    struct meta_slice *pieces = NULL;
    size_t count = 0;
    int rc = meta_read_chunk(m, ino, indx, &pieces, &count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        buf_addf(out, "  %10u %10u %12llu %10u %10u %10u\n", indx, pieces[i].pos, (unsigned long long)pieces[i].id,
                 pieces[i].size, pieces[i].off, pieces[i].len);
    free(pieces);
    return rc;
}

static int add_chunks(struct meta *m, meta_ino ino, uint64_t length, struct buf *out)
{
    int rc = 0;
    buf_addf(out, " chunks:\n  %10s %10s %12s %10s %10s %10s\n", "chunkIndex", "pos", "sliceId", "size", "offset", "length");
    for (uint64_t at = 0; rc == 0 && at < length && !out->failed; at += META_CHUNK_SIZE)
        rc = add_chunk(m, ino, (uint32_t)(at >> META_CHUNK_BITS), out);
    return rc;
}

static int add_info(struct meta *m, struct str path, struct buf *out)
{
    struct meta_attr attr;
    struct meta_summary sum;
    meta_ino ino;
    while (str_starts(path, STR("/")))
        path = str_from(path, 1);
    while (str_ends(path, STR("/")))
        path = str_first(path, path.len - 1);
    int rc = meta_resolve(m, NULL, META_ROOT, path, &ino, &attr);
    if (rc == 0)
        rc = meta_summary(m, ino, &sum);
    if (rc < 0)
        return rc;
    buf_addf(out, "/%.*s :\n  inode: %llu\n  files: %llu\n   dirs: %llu\n", STR_ARG(path), (unsigned long long)ino,
             (unsigned long long)sum.files, (unsigned long long)sum.directories);
    buf_addf(out, " length: %llu\n   size: %llu\n", (unsigned long long)sum.length, (unsigned long long)sum.space);
    return attr.type == META_FILE ? add_chunks(m, ino, attr.length, out) : 0;
}

int jfs_info(struct str url, struct str path, struct buf *out, struct buf *error)
{
    struct meta *m;
    int rc = open_to_look(url, &m, error);
    return rc < 0 ? rc : finish(m, add_info(m, path, out), out, error);
}
