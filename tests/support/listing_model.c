#include "tests/support/listing_model.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unit.h"

static struct vfs *volume;
static char root_path[] = "/tmp/sluice-listing-XXXXXX";

static int remove_node(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

int listing_open_volume(void **state)
{
    const struct vfs_options options = {.sync = VFS_SYNC_NONE};
    const char *error = NULL;
    (void)state;
    return mkdtemp(root_path) && vfs_open_volume(root_path, &options, &volume, &error) == 0 ? 0 : -1;
}

int listing_close_volume(void **state)
{
    (void)state;
    vfs_close_volume(volume);
    return nftw(root_path, remove_node, 16, FTW_DEPTH | FTW_PHYS);
}

/* Buckets */

struct bucket *bucket_new(const char *name)
{
    struct bucket *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    (void)snprintf(b->name, sizeof(b->name), "%s", name);
    (void)snprintf(b->path, sizeof(b->path), "%s/%s", root_path, name);
    assert_int_equal(mkdir(b->path, 0755), 0);
    assert_int_equal(vfs_dir_open(vfs_root(volume), str_z(name), NULL, &b->dir), 0);
    return b;
}

void bucket_free(struct bucket *b)
{
    vfs_dir_close(b->dir);
    for (size_t i = 0; i < b->key_count; i++)
        free(b->keys[i]);
    for (size_t i = 0; i < b->pending_count; i++)
        free(b->pending[i]);
    free(b);
}

void bucket_expect(struct bucket *b, const char *key)
{
    for (size_t i = 0; i < b->key_count; i++)
        if (strcmp(b->keys[i], key) == 0)
            return;
    assert_true(b->key_count < LISTING_KEYS_MAX);
    b->keys[b->key_count++] = strdup(key);
}

void bucket_forget(struct bucket *b, const char *key)
{
    for (size_t i = 0; i < b->key_count; i++) {
        if (strcmp(b->keys[i], key) != 0)
            continue;
        free(b->keys[i]);
        b->keys[i] = b->keys[--b->key_count];
    }
}

bool bucket_try_put(struct bucket *b, const char *key)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    const struct vfs_publish how = {.mode = VFS_PUBLISH_REPLACE};
    return vfs_stage(b->dir, str_z(key), NULL, 1, &file) == 0 && vfs_write(file, STR("x"), 0) == 0 &&
           vfs_publish(file, b->dir, str_z(key), NULL, &how, NULL) == 0;
}

void bucket_put(struct bucket *b, const char *key)
{
    if (!bucket_try_put(b, key))
        fail_msg("cannot put %s", key);
    bucket_expect(b, key);
}

bool bucket_try_put_directory(struct bucket *b, const char *path)
{
    CLEANUP(vfs_closep) struct vfs_file *file = NULL;
    CLEANUP(buf_done) struct buf record = buf_make(4096);
    struct vfs_attr attr;
    if (vfs_mkdir(b->dir, str_z(path), NULL, 0) < 0 && vfs_make_explicit(b->dir, str_z(path), NULL) < 0)
        return false;
    if (vfs_open(b->dir, str_z(path), NULL, VFS_OPEN_DIRECTORY, &file, &attr) < 0)
        return false;
    const struct s3_objmeta meta = {.etag = STR("d41d8cd98f00b204e9800998ecf8427e")};
    s3_objmeta_encode(&meta, &attr, &record);
    return vfs_xattr_set(file, NULL, S3_OBJMETA_XATTR, buf_str(&record)) == 0;
}

void bucket_put_directory(struct bucket *b, const char *path)
{
    char key[LIMIT_KEY_BYTES + 2];
    if (!bucket_try_put_directory(b, path))
        fail_msg("cannot put %s/", path);
    (void)snprintf(key, sizeof(key), "%s/", path);
    bucket_expect(b, key);
}

bool bucket_left_over(struct bucket *b, const char *path)
{
    return vfs_mkdir(b->dir, str_z(path), NULL, VFS_MKDIR_IMPLICIT) == 0;
}

int bucket_posix_path(const struct bucket *b, const char *path, char out[2048])
{
    return snprintf(out, 2048, "%s/%s", b->path, path);
}

bool bucket_try_posix_mkdir(struct bucket *b, const char *path)
{
    char full[2048];
    bucket_posix_path(b, path, full);
    if (mkdir(full, 0755) < 0)
        return false;
    (void)snprintf(full, sizeof(full), "%s/", path);
    assert_true(b->pending_count < LISTING_KEYS_MAX);
    b->pending[b->pending_count++] = strdup(full);
    return true;
}

void bucket_posix_mkdir(struct bucket *b, const char *path)
{
    assert_true(bucket_try_posix_mkdir(b, path));
}

void bucket_posix_file(const struct bucket *b, const char *path)
{
    char full[2048];
    bucket_posix_path(b, path, full);
    int fd = open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

/* The model */

static int compare_keys(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

static int compare_longest_first(const void *a, const void *b)
{
    return compare_keys(b, a);
}

void bucket_settle(struct bucket *b)
{
    qsort(b->pending, b->pending_count, sizeof(*b->pending), compare_longest_first);
    for (size_t i = 0; i < b->pending_count; i++) {
        bool has_keys = false;
        for (size_t j = 0; j < b->key_count; j++)
            has_keys |= str_starts(str_z(b->keys[j]), str_z(b->pending[i]));
        if (!has_keys)
            bucket_expect(b, b->pending[i]);
    }
    qsort(b->keys, b->key_count, sizeof(*b->keys), compare_keys);
}

struct page *page_new(void)
{
    struct page *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->arena = arena_new();
    return p;
}

void page_free(struct page *p)
{
    arena_free(p->arena);
    free(p);
}

static void add(struct page *p, struct str entry, bool is_prefix)
{
    assert_true(p->count < LISTING_KEYS_MAX);
    p->is_prefix[p->count] = is_prefix;
    p->entries[p->count++] = arena_dup(p->arena, entry);
}

/* Straight from the definition, over a sorted array. */
static void model_list(const struct bucket *b, const struct s3_list_query *q, struct page *out)
{
    struct str group = STR_EMPTY;
    out->count = 0;
    out->truncated = false;
    for (size_t i = 0; i < b->key_count && q->max > 0; i++) {
        struct str key = str_z(b->keys[i]);
        if (str_cmp(key, q->after) <= 0 || !str_starts(key, q->prefix) || (group.len > 0 && str_starts(key, group)))
            continue;
        struct str here = s3_common_prefix(key, q->prefix, q->delimiter);
        if (here.len > 0 && str_starts(q->after, here))
            continue;
        if (out->count == q->max) {
            out->truncated = true;
            break;
        }
        group = here;
        add(out, here.len > 0 ? here : key, here.len > 0);
    }
    out->last = out->count > 0 ? out->entries[out->count - 1] : STR_EMPTY;
}

/* The thing itself */

static void on_entry(void *context, const struct s3_list_entry *entry)
{
    add(context, entry->key, entry->is_prefix);
    if (!entry->is_prefix)
        assert_true(entry->brief.etag.len > 0 && entry->brief.modified_ns > 0);
}

void page_list(const struct bucket *b, const struct s3_list_query *q, struct page *out)
{
    struct s3_op op = {.arena = arena_new()};
    struct str last = STR_EMPTY;
    enum s3_error error;
    out->count = 0;
    struct s3_list *l = s3_list_open(&op, b->dir, q, on_entry, out);
    do
        error = s3_list_run(l);
    while (error == S3_AGAIN);
    assert_int_equal(error, S3_OK);
    out->truncated = s3_list_is_truncated(l, &last);
    out->last = arena_dup(out->arena, last);
    s3_list_close(l);
    arena_free(op.arena);
}

static void assert_same(const struct s3_list_query *q, const struct page *expected, const struct page *actual)
{
    bool same = expected->count == actual->count && expected->truncated == actual->truncated &&
                (!expected->truncated || str_eq(expected->last, actual->last));
    for (size_t i = 0; same && i < expected->count; i++)
        same = str_eq(expected->entries[i], actual->entries[i]) && expected->is_prefix[i] == actual->is_prefix[i];
    if (same)
        return;
    for (size_t i = 0; i < expected->count || i < actual->count; i++)
        print_message("  expected %.*s\t got %.*s\n", STR_ARG(i < expected->count ? expected->entries[i] : STR("-")),
                      STR_ARG(i < actual->count ? actual->entries[i] : STR("-")));
    fail_msg("prefix \"%.*s\" delimiter \"%.*s\" after \"%.*s\" max %u: truncated %d, not %d", STR_ARG(q->prefix),
             STR_ARG(q->delimiter), STR_ARG(q->after), q->max, actual->truncated, expected->truncated);
}

void check_pages(const struct bucket *b, struct str prefix, struct str delimiter, struct str after, uint32_t max)
{
    struct page *expected = page_new();
    struct page *actual = page_new();
    struct s3_list_query q = {.prefix = prefix, .delimiter = delimiter, .after = after, .max = max};
    do {
        model_list(b, &q, expected);
        page_list(b, &q, actual);
        assert_same(&q, expected, actual);
        assert_true(!actual->truncated || str_cmp(actual->last, q.after) > 0);
        q.after = actual->last;
    } while (actual->truncated);
    page_free(expected);
    page_free(actual);
}

static const char *const delimiters[] = {"", "/", "a", "-", ".", "a/", "/a", "//", "\xc3\xa4", "%"};
static const uint32_t maxima[] = {0, 1, 3, 1000};

void check_all(const struct bucket *b, struct str prefix, struct str after)
{
    for (size_t d = 0; d < ARRAY_SIZE(delimiters); d++)
        for (size_t m = 0; m < ARRAY_SIZE(maxima); m++)
            check_pages(b, prefix, str_z(delimiters[d]), after, maxima[m]);
}
