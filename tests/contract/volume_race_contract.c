/* Many requests at once, of one gateway and of two. */
#include "tests/contract/volume_contract.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "base/check.h"
#include "base/random.h"

/* Two gateways: the fixture's volume and another one over the same place. */
struct arena_of_race {
    struct volume_fixture *x;
    struct vfs *other;
    atomic_size_t wins, done;
    size_t rounds;
    char path[32];
};

static struct arena_of_race *race_new(void **state, size_t rounds)
{
    struct arena_of_race *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->x = fixture_of(state);
    a->other = a->x->kind->open(a->x->kind, VFS_SYNC_NONE);
    a->rounds = rounds;
    return a;
}

static void race_free(struct arena_of_race *a)
{
    vfs_close_volume(a->other);
    free(a);
}

static struct vfs_dir *side_of(struct arena_of_race *a, size_t index)
{
    return index % 2 ? vfs_root(a->other) : a->x->root;
}

/* CREATE */

static void create_one(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    char content[16];
    int len = snprintf(content, sizeof(content), "%zu", index);
    int r = try_put(side_of(a, index), a->path, str_of(content, (size_t)len), &CREATE);
    CHECK(r == 0 || r == -EEXIST);
    atomic_fetch_add(&a->wins, r == 0);
}

static void one_creator_wins(void **state)
{
    struct arena_of_race *a = race_new(state, 0);
    for (int i = 0; i < ROUNDS(20, 4); i++) {
        snprintf(a->path, sizeof(a->path), "d%d/name", i);
        atomic_store(&a->wins, 0);
        crew_join(crew_start(64, create_one, a));
        assert_int_equal(atomic_load(&a->wins), 1);
    }
    race_free(a);
}

/* IF_VERSION */

static uint64_t read_counter(struct vfs_dir *d, struct vfs_version *out)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    struct vfs_attr attr;
    char text[32];
    uint64_t value;
    CHECK(vfs_open(d, STR("counter"), NULL, VFS_OPEN_READ, &f, &attr) == 0);
    ssize_t got = vfs_read(f, text, sizeof(text), 0);
    CHECK(got > 0 && str_parse_u64(str_of(text, (size_t)got), &value));
    *out = vfs_attr_version(&attr);
    return value;
}

static void increment(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    struct vfs_dir *d = side_of(a, index);
    for (size_t i = 0; i < a->rounds;) {
        struct vfs_publish same = {.mode = VFS_PUBLISH_IF_VERSION};
        char text[32];
        int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)read_counter(d, &same.version) + 1);
        int r = try_put(d, "counter", str_of(text, (size_t)len), &same);
        CHECK(r == 0 || r == -ESTALE);
        i += r == 0;
    }
}

static void increments_are_never_lost(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(100, 15));
    struct vfs_version version;
    put(a->x->root, "counter", "0");
    crew_join(crew_start(8, increment, a));
    assert_int_equal(read_counter(a->x->root, &version), 8 * a->rounds);
    race_free(a);
}

/* Taking a file away by version: each version is taken at most once. */

static void take(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    struct vfs_dir *d = side_of(a, index);
    while (atomic_load(&a->wins) < a->rounds) {
        struct vfs_attr attr;
        if (vfs_lookup(d, STR("token"), NULL, &attr) < 0)
            continue;
        struct vfs_version version = vfs_attr_version(&attr);
        int r = vfs_unlink(d, STR("token"), NULL, &version);
        CHECK(r == 0 || r == -ENOENT || r == -ESTALE);
        if (r == 0) {
            atomic_fetch_add(&a->wins, 1);
            atomic_store(&a->done, 0);
        }
    }
}

static void hand_out(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    if (index > 0) {
        take(arg, index);
        return;
    }
    for (size_t i = 0; i < a->rounds; i++) {
        atomic_store(&a->done, 1);
        CHECK(try_put(a->x->root, "token", STR("t"), &CREATE) == 0); /* it was taken, so it must be gone */
        while (atomic_load(&a->done))
            sched_yield();
    }
}

static void each_version_is_unlinked_once(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(200, 20));
    crew_join(crew_start(5, hand_out, a));
    assert_int_equal(atomic_load(&a->wins), a->rounds);
    race_free(a);
}

/* Publishing while others prune */

static void put_and_prune(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    struct vfs_dir *d = side_of(a, index);
    char path[32];
    snprintf(path, sizeof(path), "p/q/r/%zu", index);
    for (size_t i = 0; i < a->rounds; i++) {
        put_or_die(d, path, STR("x"));
        CHECK(is_there(d, path));
        CHECK(vfs_unlink(d, str_z(path), NULL, NULL) == 0);
        vfs_prune(d, STR("p/q/r"), NULL);
    }
}

static void publishing_survives_pruning(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(300, 40));
    crew_join(crew_start(8, put_and_prune, a));
    vfs_prune(a->x->root, STR("p/q/r"), NULL);
    assert_listing(a->x->root, "", "", "");
    race_free(a);
}

/* Replacing under readers */

enum { BODY_MAX = 20000 };

static void replace_and_read(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    struct vfs_dir *d = side_of(a, index);
    char *body = malloc(BODY_MAX + 1);
    CHECK(body != NULL);
    for (size_t i = 0; i < a->rounds; i++) {
        if (index < 4) {
            size_t size = 1 + random_u64() % BODY_MAX;
            memset(body, 'a' + (int)(size % 26), size);
            put_or_die(d, "f", str_of(body, size));
            continue;
        }
        ssize_t got = try_get(d, "f", body, BODY_MAX + 1);
        CHECK(got > 0 && body[0] == 'a' + (int)(got % 26)); /* whole: the size and the bytes fit together */
        for (ssize_t k = 1; k < got; k++)
            CHECK(body[k] == body[0]);
    }
    free(body);
}

static void readers_see_whole_files(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(400, 50));
    put(a->x->root, "f", "b");
    crew_join(crew_start(8, replace_and_read, a));
    assert_listing(a->x->root, "", "", "f:f ");
    race_free(a);
}

/* Versions carry their number twice, as content and as attribute. Nobody sees two that differ, nor an older one than was complete when he
 * asked, with and without waiting. Some stay for long enough to be remembered. */

#define NUMBER "user.number"
enum { SETTLED_MS = 60 };

static void publish_number(struct vfs_dir *d, size_t number)
{
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    char text[24];
    snprintf(text, sizeof(text), "%zu", number);
    CHECK(vfs_stage(d, STR("b/f"), NULL, 0, &f) == 0);
    CHECK(vfs_write(f, str_z(text), 0) == 0);
    CHECK(vfs_xattr_set(f, NULL, NUMBER, str_z(text)) == 0);
    CHECK(vfs_publish(f, d, STR("b/f"), NULL, &REPLACE, NULL) == 0);
}

/* The number, or a negative errno. */
static int read_number(struct vfs_dir *root, bool may_wait)
{
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = NULL;
    CLEANUP(vfs_closep) struct vfs_file *f = NULL;
    CLEANUP(buf_done) struct buf number = buf_make(24);
    char content[24];
    int r = may_wait ? vfs_dir_open(root, STR("b"), NULL, &d) : vfs_dir_open_nowait(root, STR("b"), &d);
    if (r == 0)
        r = vfs_open(d, STR("f"), NULL, VFS_OPEN_READ, &f, NULL);
    if (r == 0)
        r = vfs_xattr_get(f, NUMBER, &number);
    if (r < 0)
        return r;
    ssize_t got = may_wait ? vfs_read(f, content, sizeof(content), 0) : vfs_read_nowait(f, content, sizeof(content), 0);
    if (got < 0)
        return (int)got;
    CHECK(str_eq(buf_str(&number), str_of(content, (size_t)got)));
    return atoi(buf_z(&number));
}

static void number_or_read(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    for (size_t i = 1; index == 0 && i <= a->rounds; i++) {
        publish_number(side_of(a, i), i);
        atomic_store(&a->wins, i);
        nanosleep(&(struct timespec){.tv_nsec = (i % 8 == 0 ? SETTLED_MS : (long)i % 3) * 1000000}, NULL);
    }
    while (index > 0 && atomic_load(&a->wins) < a->rounds) {
        size_t complete = atomic_load(&a->wins);
        int number = read_number(a->x->root, false);
        while (number == -EAGAIN || number == -ESTALE)
            number = read_number(a->x->root, true);
        CHECK(number >= (int)complete);
    }
}

static void versions_are_never_mixed(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(200, 60));
    publish_number(a->x->root, 0);
    crew_join(crew_start(4, number_or_read, a));
    race_free(a);
}

/* Scans while names come and go: what is there all the time is seen, once, in order. */

enum { STABLE = 600 };

static void scan_once(struct vfs_dir *d)
{
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    struct vfs_dirent e;
    size_t stable = 0;
    char last[32] = "";
    CHECK(vfs_scan_open(d, STR("s"), NULL, STR_EMPTY, &s) == 0);
    while (vfs_scan_next(s, &e) == 1) {
        struct vfs_attr attr;
        char name[32];
        snprintf(name, sizeof(name), "%.*s", STR_ARG(e.name));
        CHECK(strcmp(last, name) < 0);
        memcpy(last, name, sizeof(last));
        int r = vfs_scan_stat(s, &attr, NULL, NULL);
        CHECK(r == 0 || (r == -ENOENT && name[0] == 'm'));
        stable += name[0] == 's';
    }
    CHECK(stable == STABLE);
}

static void scan_or_change(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    struct vfs_dir *d = side_of(a, index);
    for (size_t i = 0; i < a->rounds; i++) {
        char path[32];
        if (index < 3) {
            scan_once(d);
            continue;
        }
        snprintf(path, sizeof(path), "s/m%zu-%zu", index, i % 50);
        put_or_die(d, path, STR("x"));
        if (i % 2)
            CHECK(vfs_unlink(d, str_z(path), NULL, NULL) == 0);
    }
}

static void scans_keep_their_order_under_changes(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(100, 15));
    for (int i = 0; i < STABLE; i++) {
        char path[32];
        snprintf(path, sizeof(path), "s/s%d", i);
        put(a->x->root, path, "x");
    }
    crew_join(crew_start(6, scan_or_change, a));
    race_free(a);
}

/* Durable publishes in a crowd */

static void put_durably(void *arg, size_t index)
{
    struct arena_of_race *a = arg;
    for (size_t i = 0; i < a->rounds; i++) {
        char path[48];
        snprintf(path, sizeof(path), "t%zu/d%zu/f%zu", index % 4, i % 3, index);
        put_or_die(a->x->root, path, STR("durable"));
    }
}

static void publishes_durably_in_a_crowd(void **state)
{
    struct arena_of_race *a = race_new(state, ROUNDS(20, 5));
    volume_reopen(a->x, VFS_SYNC_ALWAYS);
    crew_join(crew_start(24, put_durably, a));
    for (size_t i = 0; i < 24; i++) {
        char path[48];
        snprintf(path, sizeof(path), "t%zu/d%zu/f%zu", i % 4, (a->rounds - 1) % 3, i);
        assert_content(a->x->root, path, "durable");
    }
    race_free(a);
}

int volume_race_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(one_creator_wins, k),
        VOLUME_TEST(increments_are_never_lost, k),
        VOLUME_TEST(each_version_is_unlinked_once, k),
        VOLUME_TEST(publishing_survives_pruning, k),
        VOLUME_TEST(readers_see_whole_files, k),
        VOLUME_TEST(versions_are_never_mixed, k),
        VOLUME_TEST(scans_keep_their_order_under_changes, k),
        VOLUME_TEST(publishes_durably_in_a_crowd, k),
    };
    return cmocka_run_group_tests_name("races", tests, NULL, NULL);
}
