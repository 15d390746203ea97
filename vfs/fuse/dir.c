/* Reading directories. The listing is a sequence of positions: ".", "..", at the root the virtual files, then the entries in
 * byte order in pages of LIMIT_FUSE_DIR_PAGE. The kernel's offset of an entry is the position behind it. One page is kept, and
 * of every page before it the name that it follows, so that seeking back reads one page again, and memory does not grow with
 * the entries. An answer never crosses a page: what the kernel asks for again is in the page that is kept.
 *
 * A page is names: it stays as it was read, so that positions in it do, whatever is added and removed meanwhile. Attributes are read
 * for each answer. The kernel takes them for those of now: by a size of before it would append into the middle of a file.
 *
 * A process that takes over knows no names: it walks from the start to the position it is asked for. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "vfs/fuse/fuse_internal.h"

struct entry {
    size_t name_at; /* in the page's names, NUL-terminated */
    meta_ino ino;
    uint8_t type;
    bool has_attr; /* for the present answer */
    struct meta_attr attr;
};

struct vfuse_dir {
    struct mutex lock;
    /* The name that each page follows; known for the pages up to `page` + 1. */
    char **after;
    size_t after_count;
    bool loaded;
    size_t page; /* which one is kept */
    struct entry *entries;
    size_t count;
    struct buf names;
};

struct vfuse_dir *vfuse_dir_new(void)
{
    struct vfuse_dir *d = calloc(1, sizeof(*d));
    CHECK(d != NULL); /* out of memory */
    mutex_init(&d->lock);
    d->names = buf_make(LIMIT_FUSE_DIR_PAGE * (META_NAME_MAX + 1));
    return d;
}

static void forget(struct vfuse_dir *d)
{
    for (size_t i = 0; i < d->after_count; i++)
        free(d->after[i]);
    free(d->after);
    d->after = NULL;
    d->after_count = 0;
    d->loaded = false;
}

void vfuse_dir_free(struct vfuse_dir *d)
{
    if (!d)
        return;
    forget(d);
    free(d->entries);
    buf_done(&d->names);
    mutex_done(&d->lock);
    free(d);
}

/* Pages */

static void push_after(struct vfuse_dir *d, const char *name)
{
    d->after = realloc(d->after, (d->after_count + 1) * sizeof(*d->after));
    CHECK(d->after != NULL); /* out of memory */
    d->after[d->after_count] = strdup(name);
    CHECK(d->after[d->after_count] != NULL); /* out of memory */
    d->after_count++;
}

static int take_entry(void *arg, const struct meta_entry *entry)
{
    struct vfuse_dir *d = arg;
    CHECK(d->count < LIMIT_FUSE_DIR_PAGE);
    struct entry *e = &d->entries[d->count++];
    *e = (struct entry){.name_at = d->names.len, .ino = entry->ino, .type = entry->type};
    buf_add(&d->names, entry->name);
    buf_addc(&d->names, '\0');
    return 0;
}

static const char *name_of(const struct vfuse_dir *d, const struct entry *e)
{
    return d->names.ptr + e->name_at;
}

static int read_page(struct vfuse *v, const struct meta_ctx *ctx, meta_ino ino, struct vfuse_dir *d, size_t page)
{
    CHECK(page < d->after_count);
    if (!d->entries)
        d->entries = calloc(LIMIT_FUSE_DIR_PAGE, sizeof(*d->entries));
    CHECK(d->entries != NULL); /* out of memory */
    d->loaded = false;
    d->count = 0;
    buf_reset(&d->names);
    const struct meta_edge_scan scan = {.parent = ino, .after = str_z(d->after[page]), .limit = LIMIT_FUSE_DIR_PAGE};
    int r = meta_readdir(v->meta, ctx, &scan, take_entry, d);
    if (r < 0)
        return r;
    CHECK(!d->names.failed);
    d->loaded = true;
    d->page = page;
    if (d->count == LIMIT_FUSE_DIR_PAGE && page + 1 == d->after_count)
        push_after(d, name_of(d, &d->entries[d->count - 1]));
    return 0;
}

/* Makes the page that holds the entry with this number the one that is kept. 0: it is; 1: the directory ends before. */
static int find_page(struct vfuse *v, const struct meta_ctx *ctx, meta_ino ino, struct vfuse_dir *d, uint64_t number)
{
    size_t page = (size_t)(number / LIMIT_FUSE_DIR_PAGE);
    if (d->after_count == 0)
        push_after(d, "");
    while (!d->loaded || d->page != page) {
        if (page >= d->after_count && d->loaded && d->count < LIMIT_FUSE_DIR_PAGE && d->page + 1 == d->after_count)
            return 1;
        int r = read_page(v, ctx, ino, d, page < d->after_count ? page : d->after_count - 1);
        if (r < 0)
            return r;
    }
    return number % LIMIT_FUSE_DIR_PAGE < d->count ? 0 : 1;
}

/* Attributes */

struct attr_scan {
    struct vfuse_dir *d;
    size_t at;
};

/* Both are in byte order: names that are in one of the two only are passed over. */
static int take_attr(void *arg, const struct meta_entry *entry)
{
    struct attr_scan *s = arg;
    int order = -1;
    while (s->at < s->d->count && (order = str_cmp(str_z(name_of(s->d, &s->d->entries[s->at])), entry->name)) < 0)
        s->at++;
    if (order == 0 && entry->attr && s->d->entries[s->at].ino == entry->ino) {
        s->d->entries[s->at].has_attr = true;
        s->d->entries[s->at].attr = *entry->attr;
    }
    return s->at == s->d->count; /* nothing more to look for */
}

/* Of at most `limit` entries from `first` on. */
static int read_attrs(struct vfuse *v, const struct meta_ctx *ctx, meta_ino ino, struct vfuse_dir *d, size_t first, size_t limit)
{
    struct attr_scan s = {d, first};
    const struct meta_edge_scan scan = {
        .parent = ino,
        .after = str_z(first > 0 ? name_of(d, &d->entries[first - 1]) : d->after[d->page]),
        .want = META_EDGE_ATTR,
        .limit = limit,
    };
    for (size_t i = first; i < d->count; i++)
        d->entries[i].has_attr = false;
    int r = meta_readdir(v->meta, ctx, &scan, take_attr, &s);
    return r < 0 ? r : 0;
}

/* Answers */

/* What an entry with attributes takes at least, as the kernel defines it (struct fuse_direntplus). */
#define PLUS_ENTRY_BYTES_MIN 152

struct answer {
    const struct vfuse_call *call;
    char *bytes;
    size_t size, used;
    bool plus;
};

/* false: no room. ino 0 in the entry: the kernel shall remember nothing. */
static bool add(struct answer *a, const char *name, const struct fuse_entry_param *entry, uint64_t next)
{
    size_t room = a->size - a->used;
    size_t n = a->plus ? fuse_add_direntry_plus(a->call->request, a->bytes + a->used, room, name, entry, (off_t)next)
                       : fuse_add_direntry(a->call->request, a->bytes + a->used, room, name, &entry->attr, (off_t)next);
    if (n > room)
        return false;
    a->used += n;
    return true;
}

static bool add_plain(struct answer *a, const char *name, meta_ino ino, uint8_t type, uint64_t next)
{
    const struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = vfuse_type_bits(type)}};
    return add(a, name, &entry, next);
}

static bool add_entry(struct answer *a, const char *name, struct entry *e, uint64_t next)
{
    if (!a->plus || !e->has_attr)
        return add_plain(a, name, e->ino, e->type, next);
    struct fuse_entry_param entry;
    struct meta_attr attr = e->attr;
    vfuse_fill_entry(a->call->v, e->ino, &attr, &entry);
    return add(a, name, &entry, next);
}

/* ".", "..", and the virtual files. */
static uint64_t head_count(const struct vfuse *v, meta_ino ino)
{
    if (ino != v->root || v->options.hide_internal)
        return 2;
    return 2 + VFUSE_VIRTUAL_COUNT + (vfuse_has_trash(v) ? 1 : 0);
}

static bool add_head(struct answer *a, meta_ino ino, uint64_t position)
{
    if (position < 2)
        return add_plain(a, position == 0 ? "." : "..", vfuse_kernel_ino(a->call->v, ino), META_DIRECTORY, position + 1);
    if (position == 2 + VFUSE_VIRTUAL_COUNT)
        return add_plain(a, META_TRASH_NAME, META_TRASH, META_DIRECTORY, position + 1);
    const struct vfuse_virtual *f = &vfuse_virtuals[position - 2];
    return add_plain(a, f->name, f->ino, META_FILE, position + 1);
}

static int fill(struct answer *a, struct vfuse_dir *d, meta_ino ino, uint64_t position)
{
    struct vfuse *v = a->call->v;
    uint64_t head = head_count(v, ino);
    while (position < head) {
        if (!add_head(a, ino, position))
            return 0;
        position++;
    }
    size_t first = (size_t)((position - head) % LIMIT_FUSE_DIR_PAGE);
    int r = find_page(v, &a->call->ctx, ino, d, position - head);
    if (r == 0 && a->plus)
        r = read_attrs(v, &a->call->ctx, ino, d, first, a->size / PLUS_ENTRY_BYTES_MIN + 1);
    if (r != 0)
        return r < 0 && a->used == 0 ? r : 0;
    for (size_t i = first; i < d->count; i++) {
        if (!add_entry(a, name_of(d, &d->entries[i]), &d->entries[i], ++position))
            break;
    }
    return 0;
}

static void read_directory(fuse_req_t request, meta_ino ino, size_t size, uint64_t position, struct fuse_file_info *fi,
                           bool plus)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_READDIR);
    struct answer a = {.call = &c, .size = size, .plus = plus};
    struct vfuse_handle *h = NULL;
    int r = vfuse_handle_get(c.v, fi, VFUSE_DIR_HANDLE, ino, &h);
    if (r == 0) {
        a.bytes = malloc(size);
        CHECK(a.bytes != NULL); /* out of memory; the kernel bounds the size */
        mutex_lock(&h->dir->lock);
        if (position == 0)
            forget(h->dir);
        r = fill(&a, h->dir, ino, position);
        mutex_unlock(&h->dir->lock);
    }
    if (r < 0)
        vfuse_answer(&c, r);
    else
        (void)(vfuse_may_answer(&c) && fuse_reply_buf(request, a.bytes, a.used)); /* interrupted or not */
    vfuse_end(&c, r, "(%llu,%zu,%llu): (%zu)", (unsigned long long)ino, size, (unsigned long long)position, a.used);
    free(a.bytes);
    vfuse_handle_put(c.v, h);
}

void vfuse_op_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    read_directory(request, ino, size, (uint64_t)offset, fi, false);
}

void vfuse_op_readdirplus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    read_directory(request, ino, size, (uint64_t)offset, fi, true);
}

void vfuse_op_opendir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_OPENDIR);
    struct vfuse_handle *h = vfuse_handle_new(c.v, VFUSE_DIR_HANDLE, ino);
    uint64_t number = h->number;
    fi->fh = number;
    if (!vfuse_may_answer(&c) || fuse_reply_open(request, fi) < 0)
        vfuse_handle_release(c.v, number); /* interrupted: the kernel knows of none */
    vfuse_end(&c, 0, "(%llu) [fh:%llu]", (unsigned long long)ino, (unsigned long long)number);
}

void vfuse_op_releasedir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct vfuse_call c = vfuse_begin(request, VFUSE_RELEASEDIR);
    vfuse_handle_release(c.v, fi->fh);
    vfuse_answer(&c, 0);
    vfuse_end(&c, 0, "(%llu)", (unsigned long long)ino);
}

void vfuse_op_fsyncdir(fuse_req_t request, fuse_ino_t ino, int only_data, struct fuse_file_info *fi)
{
    (void)fi;
    struct vfuse_call c = vfuse_begin(request, VFUSE_FSYNC);
    int r = meta_sync(c.v->meta);
    vfuse_answer(&c, r);
    vfuse_end(&c, r, "(%llu,%d)", (unsigned long long)ino, only_data);
}
