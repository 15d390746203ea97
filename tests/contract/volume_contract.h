/* The contract of vfs/vfs.h as tests, run against every kind of volume, and the helpers that tests of one kind share. */
#ifndef TESTS_CONTRACT_VOLUME_CONTRACT_H
#define TESTS_CONTRACT_VOLUME_CONTRACT_H

#include "tests/support/unit.h"
#include "vfs/vfs.h"

/* What a test may do often; sanitizers slow everything down. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW_BUILD 1
#define ROUNDS(normal, slow) (slow)
#else
#define SLOW_BUILD 0
#define ROUNDS(normal, slow) (normal)
#endif

/* One kind of volume in one configuration. */
struct volume_kind {
    const char *name;
    /* Makes the place empty. */
    void (*wipe)(const struct volume_kind *k);
    /* Opens what is there; may be open several times at once, as by several gateways. */
    struct vfs *(*open)(const struct volume_kind *k, enum vfs_sync_mode sync);
    /* The root as a POSIX path; NULL when there is none. */
    const char *posix_root;
};

struct volume_fixture {
    const struct volume_kind *kind;
    struct vfs *volume;
    struct vfs_dir *root;
};

/* Setup and teardown of a test with an empty volume; *state is a struct volume_kind before and a fixture meanwhile. */
int volume_setup(void **state);
int volume_teardown(void **state);
#define VOLUME_TEST(fn, kind) \
    (struct CMUnitTest){#fn, (fn), volume_setup, volume_teardown, (void *)(uintptr_t)(kind)}
struct volume_fixture *fixture_of(void **state);
/* Closes and opens the fixture's volume with that mode. */
void volume_reopen(struct volume_fixture *x, enum vfs_sync_mode sync);

/* Runs the groups; each returns the number of failed tests. */
int volume_node_contract(const struct volume_kind *k);
int volume_file_contract(const struct volume_kind *k);
int volume_publish_contract(const struct volume_kind *k);
int volume_scan_contract(const struct volume_kind *k);
int volume_race_contract(const struct volume_kind *k);
int volume_fault_contract(const struct volume_kind *k);
/* All of them. */
int volume_contract(const struct volume_kind *k);

/* Helpers. Those that return int give the operation's result; the others fail the test, or (when the name ends in _or_die)
 * stop the process, so that they may be used in threads. */
int try_put(struct vfs_dir *d, const char *path, struct str content, const struct vfs_publish *how);
void put(struct vfs_dir *d, const char *path, const char *content);
void put_or_die(struct vfs_dir *d, const char *path, struct str content);
/* As much of the content as fits, NUL-terminated; the size or -errno. */
ssize_t try_get(struct vfs_dir *d, const char *path, char *out, size_t size);
void assert_content(struct vfs_dir *d, const char *path, const char *content);
void assert_missing(struct vfs_dir *d, const char *path);
struct vfs_version version_of(struct vfs_dir *d, const char *path);
bool is_there(struct vfs_dir *d, const char *path);
/* "name:type " for each entry from `from` on, type one of f d l o, into a static buffer. */
const char *listing(struct vfs_dir *d, const char *path, const char *from);
#define assert_listing(dir, path, from, expected) assert_string_equal(listing((dir), (path), (from)), (expected))

#define assert_ok(call) assert_int_equal((call), 0)
#define assert_fails(call, error) assert_int_equal((call), -(error))

extern const struct vfs_publish REPLACE, CREATE;
static inline struct vfs_publish if_version(struct vfs_version v)
{
    return (struct vfs_publish){.mode = VFS_PUBLISH_IF_VERSION, .version = v};
}

/* Threads that all start at once. */
struct crew;
struct crew *crew_start(size_t count, void (*fn)(void *arg, size_t index), void *arg);
void crew_join(struct crew *c);

#endif
