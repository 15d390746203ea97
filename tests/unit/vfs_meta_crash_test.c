/* Many clients at once, and clients that die at any step: the volume always holds together. */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "tests/support/meta_rig.h"
#include "tests/support/unit.h"

enum { THREADS = 4, STEPS = 400, NAMES = 5, DIRECTORIES = 4, CRASHES = 40 };

/* Random operations over few names, so that they meet. Whatever they answer is fine, but for the database's failing. */

struct worker {
    struct meta *m;
    unsigned seed;
    meta_ino dirs[DIRECTORIES];
    pthread_t thread;
};

static unsigned pick(struct worker *w, unsigned count)
{
    return (unsigned)rand_r(&w->seed) % count;
}

static struct str name_of(struct worker *w)
{
    static const char *const names[NAMES] = {"a", "b", "c", "d", "e"};
    return str_z(names[pick(w, NAMES)]);
}

static meta_ino dir_of(struct worker *w)
{
    return w->dirs[pick(w, DIRECTORIES)];
}

static int step_stage(struct worker *w)
{
    struct meta_draft draft;
    const meta_ino dir = dir_of(w);
    const bool stays_draft = pick(w, 2) == 0;
    int rc = meta_draft(w->m, NULL, dir, 0644, 0, &draft);
    if (rc < 0)
        return rc;
    if (!stays_draft)
        rc = meta_stage(w->m, &draft);
    const struct meta_publish how = {.mode = META_PUBLISH_REPLACE, .draft = stays_draft ? &draft : NULL};
    if (rc >= 0 && pick(w, 4) > 0)
        rc = meta_publish(w->m, NULL, draft.ino, dir, name_of(w), &how, NULL);
    meta_node_close(w->m, draft.ino);
    return rc;
}

static int step_open(struct worker *w)
{
    meta_ino ino;
    const meta_ino dir = dir_of(w);
    const struct str name = name_of(w);
    int rc = meta_create(w->m, NULL, dir, name, 0644, 0, false, &ino, NULL);
    if (rc < 0)
        return rc;
    rc = meta_unlink(w->m, NULL, dir, name, 0, NULL);
    meta_node_close(w->m, ino);
    return rc;
}

static int step_link(struct worker *w)
{
    meta_ino ino;
    struct meta_attr attr;
    int rc = meta_lookup(w->m, NULL, dir_of(w), name_of(w), &ino, &attr);
    if (rc >= 0)
        rc = meta_xattr_set(w->m, ino, STR("user.x"), name_of(w), 0);
    return rc < 0 ? rc : meta_link(w->m, NULL, ino, dir_of(w), name_of(w), NULL);
}

static int step(struct worker *w)
{
    static const unsigned flags[] = {0, 0, META_RENAME_NOREPLACE, META_RENAME_EXCHANGE};
    meta_ino ino;
    switch (pick(w, 9)) {
    case 0:
        return meta_mkdir(w->m, NULL, dir_of(w), name_of(w), 0755, 0, &ino, NULL);
    case 1:
        return meta_symlink(w->m, NULL, dir_of(w), name_of(w), STR("target"), &ino, NULL);
    case 2:
        return meta_rmdir(w->m, NULL, dir_of(w), name_of(w), 0);
    case 3:
        return step_link(w);
    case 4:
        return step_open(w);
    case 5:
        return step_stage(w);
    case 6:
        return meta_unlink(w->m, NULL, dir_of(w), name_of(w), 0, NULL);
    default:
        return meta_rename(w->m, NULL, dir_of(w), name_of(w), dir_of(w), name_of(w), flags[pick(w, ARRAY_SIZE(flags))],
                           NULL, NULL);
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < STEPS; i++) {
        int rc = step(w);
        CHECK(rc >= 0 || (rc != -EIO && rc != -EBUSY && rc != -META_AGAIN));
    }
    return NULL;
}

static void make_directories(struct meta *m, meta_ino dirs[DIRECTORIES])
{
    dirs[0] = META_ROOT;
    for (int i = 1; i < DIRECTORIES; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        assert_int_equal(meta_mkdir(m, NULL, dirs[i / 2], str_z(name), 0755, 0, &dirs[i], NULL), 0);
    }
}

static void run_together(uint32_t trash_days)
{
    struct meta_rig rig;
    struct worker workers[THREADS];
    meta_ino dirs[DIRECTORIES];
    meta_rig_open(&rig);
    meta_set_features(rig.m, &(struct meta_features){.dir_stats = true, .trash_days = trash_days});
    make_directories(rig.m, dirs);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.m = rig.m, .seed = i + 1};
        memcpy(workers[i].dirs, dirs, sizeof(dirs));
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_sustained"), 0);
    meta_rig_check(&rig);
    meta_rig_close(&rig);
}

static void test_together(void **state)
{
    (void)state;
    run_together(0);
}

static void test_together_with_trash(void **state)
{
    (void)state;
    run_together(1);
}

#ifdef SLUICE_FAULTS

/* Stops before or after a commit as kill -9 would. The parent has no connection open meanwhile: SQLite's do not fork. */
static void crash_at(struct meta_rig *rig, const char *point, int pass, const meta_ino dirs[DIRECTORIES])
{
    char fault[64];
    (void)snprintf(fault, sizeof(fault), "%s:%d:kill", point, pass);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        meta_rig_resume(rig);
        struct worker w = {.m = rig->m, .seed = (unsigned)pass};
        memcpy(w.dirs, dirs, sizeof(w.dirs));
        fault_set_for_test(fault);
        (void)run(&w);
        _exit(0); /* it should not come so far */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static int collect(void *arg, meta_ino ino)
{
    buf_add(arg, str_of((const char *)&ino, sizeof(ino)));
    return 0;
}

static int list_sustained(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    return META_DO(t, sustained_scan, 1, collect, arg);
}

/* What the next session of anybody does for one that died. */
static void clean_up(struct meta *m)
{
    struct buf inos = buf_make(1 << 20);
    assert_int_equal(meta_transact(m, META_TXN_READ, list_sustained, &inos), 0);
    for (size_t i = 0; i < inos.len; i += sizeof(meta_ino)) {
        meta_ino ino;
        memcpy(&ino, inos.ptr + i, sizeof(ino));
        assert_int_equal(meta_delete_sustained(m, 1, ino), 0);
    }
    buf_done(&inos);
}

static void crash_often(const char *point)
{
    struct meta_rig rig;
    meta_ino dirs[DIRECTORIES];
    meta_rig_open(&rig);
    make_directories(rig.m, dirs);
    for (int pass = 1; pass <= CRASHES; pass++) {
        meta_rig_pause(&rig);
        crash_at(&rig, point, pass, dirs);
        meta_rig_resume(&rig);
        meta_rig_check_names(&rig); /* as others find it at once */
        clean_up(rig.m);
        meta_rig_check_names(&rig);
        assert_int_equal(meta_rig_number(&rig, "SELECT COUNT(*) FROM jfs_sustained"), 0);
    }
    meta_rig_close(&rig);
}

static void test_killed_before_commit(void **state)
{
    (void)state;
    crash_often("meta.commit");
}

static void test_killed_after_commit(void **state)
{
    (void)state;
    crash_often("meta.committed");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_together_with_trash),
#ifdef SLUICE_FAULTS
        cmocka_unit_test(test_killed_before_commit),
        cmocka_unit_test(test_killed_after_commit),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
