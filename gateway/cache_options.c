#include "gateway/cache_options.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "gateway/args.h"

#define SIZE_MIN (1ull << 20)
#define SIZE_MAX_BYTES (1ull << 50)
#define MODE_MAX 0777

static bool set_dirs(struct vfs_cache_options *c, const char *value)
{
    /* The latter is juicefs's word for it. */
    bool none = *value == '\0' || strcmp(value, "none") == 0 || strcmp(value, "memory") == 0;
    c->dirs = none ? NULL : value;
    return vfs_cache_dirs_ok(c->dirs);
}

static void show_dirs(const struct vfs_cache_options *c, struct buf *out)
{
    buf_addz(out, c->dirs ? c->dirs : "none");
}

static bool set_size(struct vfs_cache_options *c, const char *value)
{
    return gw_args_mebibytes(value, &c->bytes_max) && c->bytes_max <= SIZE_MAX_BYTES && (c->bytes_max == 0 || c->bytes_max >= SIZE_MIN);
}

/* Whole MiB alone; other sizes have no letter that says so. */
static void show_size(const struct vfs_cache_options *c, struct buf *out)
{
    if (c->bytes_max % SIZE_MIN == 0)
        buf_addf(out, "%lluM", (unsigned long long)(c->bytes_max / SIZE_MIN));
    else
        buf_addf(out, "%lluK", (unsigned long long)(c->bytes_max / 1024));
}

static bool set_items(struct vfs_cache_options *c, const char *value)
{
    return str_parse_u64(str_z(value), &c->items_max);
}

static void show_items(const struct vfs_cache_options *c, struct buf *out)
{
    buf_add_u64(out, c->items_max);
}

static bool set_free(struct vfs_cache_options *c, const char *value)
{
    char *end;
    c->free_min = strtod(value, &end);
    return end != value && *end == '\0' && c->free_min >= 0 && c->free_min < 1;
}

static void show_free(const struct vfs_cache_options *c, struct buf *out)
{
    buf_addf(out, "%g", c->free_min);
}

static bool set_mode(struct vfs_cache_options *c, const char *value)
{
    return gw_args_octal(value, MODE_MAX, &c->mode);
}

static void show_mode(const struct vfs_cache_options *c, struct buf *out)
{
    buf_addf(out, "%04o", (unsigned)c->mode);
}

static const struct row {
    const char *name;
    bool (*set)(struct vfs_cache_options *c, const char *value);
    void (*show)(const struct vfs_cache_options *c, struct buf *out);
    const char *allowed;
} rows[] = {
    {"cache-dir", set_dirs, show_dirs, "absolute paths, ':' between them; none"},
    {"cache-size", set_size, show_size, "a size such as 500G, or MiB, at least 1M; 0: no cache"},
    {"cache-items", set_items, show_items, "a number; 0: no limit"},
    {"free-space-ratio", set_free, show_free, "a number from 0 to 1, such as 0.1"},
    {"cache-mode", set_mode, show_mode, "an octal mode such as 0640"},
};

static const struct row *find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (str_is(name, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

int gw_cache_option_set(struct vfs_cache_options *c, struct str name, const char *value, const char **out_allowed)
{
    const struct row *row = find(name);
    struct vfs_cache_options copy = *c;
    if (!row)
        return 0;
    if (!value || !row->set(&copy, value)) {
        *out_allowed = row->allowed;
        return -EINVAL;
    }
    *c = copy;
    return 1;
}

void gw_cache_option_show(const struct vfs_cache_options *c, const char *name, struct buf *out)
{
    const struct row *row = find(str_z(name));
    CHECK(row != NULL);
    row->show(c, out);
}

#define INIT(name, argument, initial, help) CHECK(gw_cache_option_set(out, STR(name), initial, &allowed) == 1);

void gw_cache_options_init(struct vfs_cache_options *out)
{
    const char *allowed;
    *out = (struct vfs_cache_options){0};
    GW_CACHE_OPTIONS(INIT)
}
