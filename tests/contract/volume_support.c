#include "tests/contract/volume_contract.h"

#include <errno.h>
#include <pthread.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mutex.h"

const struct vfs_publish REPLACE = {.mode = VFS_PUBLISH_REPLACE}, CREATE = {.mode = VFS_PUBLISH_CREATE};

/* Fixture */

int volume_setup(void **state)
{
    const struct volume_kind *k = *state;
    struct volume_fixture *x = calloc(1, sizeof(*x));
    CHECK(x != NULL);
    k->wipe(k);
    x->kind = k;
    x->volume = k->open(k, VFS_SYNC_NONE);
    x->root = vfs_root(x->volume);
    *state = x;
    return 0;
}

int volume_teardown(void **state)
{
    struct volume_fixture *x = *state;
#ifdef SLUICE_FAULTS
    fault_set_for_test(NULL);
#endif
    vfs_close_volume(x->volume);
    x->kind->wipe(x->kind);
    free(x);
    return 0;
}

struct volume_fixture *fixture_of(void **state)
{
    return *state;
}

void volume_reopen(struct volume_fixture *x, enum vfs_sync_mode sync)
{
    vfs_close_volume(x->volume);
    x->volume = x->kind->open(x->kind, sync);
    x->root = vfs_root(x->volume);
}

int volume_contract(const struct volume_kind *k)
{
    return volume_node_contract(k) + volume_file_contract(k) + volume_publish_contract(k) + volume_scan_contract(k) +
           volume_fault_contract(k) + volume_race_contract(k);
}

/* Content */

int try_put(struct vfs_dir *d, const char *path, struct str content, const struct vfs_publish *how)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    int r = vfs_stage(d, str_z(path), NULL, content.len, &f);
    if (r == 0)
        r = vfs_write(f, content, 0);
    return r < 0 ? r : vfs_publish(f, d, str_z(path), NULL, how, NULL);
}

void put(struct vfs_dir *d, const char *path, const char *content)
{
    int r = try_put(d, path, str_z(content), &REPLACE);
    if (r < 0)
        fail_msg("put %s: %s", path, strerror(-r));
}

void put_or_die(struct vfs_dir *d, const char *path, struct str content)
{
    int r = try_put(d, path, content, &REPLACE);
    if (r < 0)
        check_failed(path, 0, strerror(-r));
}

ssize_t try_get(struct vfs_dir *d, const char *path, char *out, size_t size)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    int r = vfs_open(d, str_z(path), NULL, VFS_OPEN_READ, &f, NULL);
    if (r < 0)
        return r;
    ssize_t got = vfs_read(f, out, size - 1, 0);
    if (got >= 0)
        out[got] = '\0';
    return got;
}

void assert_content(struct vfs_dir *d, const char *path, const char *content)
{
    char text[4096];
    ssize_t got = try_get(d, path, text, sizeof(text));
    if (got < 0)
        fail_msg("get %s: %s", path, strerror((int)-got));
    assert_string_equal(text, content);
}

bool is_there(struct vfs_dir *d, const char *path)
{
    struct vfs_attr attr;
    return vfs_lookup(d, str_z(path), NULL, &attr) == 0;
}

void assert_missing(struct vfs_dir *d, const char *path)
{
    struct vfs_attr attr;
    assert_fails(vfs_lookup(d, str_z(path), NULL, &attr), ENOENT);
}

struct vfs_version version_of(struct vfs_dir *d, const char *path)
{
    struct vfs_attr attr;
    assert_ok(vfs_lookup(d, str_z(path), NULL, &attr));
    return vfs_attr_version(&attr);
}

const char *listing(struct vfs_dir *d, const char *path, const char *from)
{
    static char text[4096];
    static const char letters[] = {[VFS_FILE] = 'f', [VFS_DIRECTORY] = 'd', [VFS_SYMLINK] = 'l', [VFS_OTHER] = 'o'};
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    size_t used = 0;
    text[0] = '\0';
    int r = vfs_scan_open(d, str_z(path), NULL, str_z(from), &s);
    struct vfs_dirent e;
    while (r >= 0 && (r = vfs_scan_next(s, &e)) == 1)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s:%c ", STR_ARG(e.name), letters[e.type]);
    if (r < 0)
        fail_msg("scan of \"%s\": %s", path, strerror(-r));
    return text;
}

/* Crew */

struct crew {
    pthread_barrier_t start;
    void (*fn)(void *arg, size_t index);
    void *arg;
    size_t count;
    struct member {
        struct crew *crew;
        pthread_t thread;
        size_t index;
    } members[];
};

static void *member_run(void *arg)
{
    struct member *m = arg;
    pthread_barrier_wait(&m->crew->start);
    m->crew->fn(m->crew->arg, m->index);
    return NULL;
}

struct crew *crew_start(size_t count, void (*fn)(void *arg, size_t index), void *arg)
{
    struct crew *c = calloc(1, sizeof(*c) + count * sizeof(c->members[0]));
    CHECK(c != NULL);
    CHECK(pthread_barrier_init(&c->start, NULL, (unsigned)count) == 0);
    c->fn = fn;
    c->arg = arg;
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        c->members[i].crew = c;
        c->members[i].index = i;
        thread_start(&c->members[i].thread, "crew", member_run, &c->members[i]);
    }
    return c;
}

void crew_join(struct crew *c)
{
    for (size_t i = 0; i < c->count; i++)
        CHECK(pthread_join(c->members[i].thread, NULL) == 0);
    pthread_barrier_destroy(&c->start);
    free(c);
}
