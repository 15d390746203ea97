/* Chunks against a model: random writes, truncations, holes, copies, compactions and deletions of files; after each, what
 * is read is what was written, and the counts of references are those of the records. */
#include "tests/support/unit.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "tests/support/meta_rig.h"
#include "vfs/meta/upkeep.h"

/* Everything happens in cells of a mebibyte, so that three chunks are a small array. */
#define CELL (1024u * 1024u)
#define CELLS_PER_CHUNK 64
#define CELLS 192
#define FILES 4
#define SLICES_MAX 20000
#define FIRST_INO 100

struct stored { /* a slice's content: 0 zeros, else a value that no other written cell has */
    bool exists;
    uint32_t size;
    uint32_t value[CELLS_PER_CHUNK];
};

static struct meta_rig rig;
static struct stored *store;
static uint32_t model[FILES][CELLS];
static uint32_t lengths[FILES]; /* cells */
static bool alive[FILES];
static uint32_t next_value;
static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static int delete_slice(void *arg, uint64_t id, uint32_t size)
{
    (void)arg;
    assert_true(id < SLICES_MAX && store[id].exists && store[id].size == size);
    store[id].exists = false;
    return 0;
}

static uint32_t stored_value(const struct meta_slice *s, uint32_t cell)
{
    if (s->id == 0)
        return 0;
    assert_true(s->id < SLICES_MAX && store[s->id].exists);
    return store[s->id].value[s->off / CELL + cell];
}

static int compact_slice(void *arg, const struct meta_slice *pieces, size_t count, uint64_t new_id)
{
    (void)arg;
    struct stored *new = &store[new_id];
    *new = (struct stored){.exists = true};
    for (size_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < pieces[i].len / CELL; c++)
            new->value[new->size / CELL + c] = stored_value(&pieces[i], c);
        new->size += pieces[i].len; /* zeros alone are one byte */
    }
    return 0;
}

static int new_file(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const meta_ino *ino = arg;
    struct meta_attr attr = {.type = META_FILE, .mode = 0644, .nlink = 1, .parent = META_ROOT};
    attr.mtime = attr.ctime = attr.atime = meta_now();
    return META_DO(t, node_insert, *ino, &attr);
}

static int drop_file(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    const meta_ino *ino = arg;
    int rc = META_DO(t, delfile_insert, *ino, lengths[*ino - FIRST_INO] * (uint64_t)CELL, 1);
    return rc == 0 ? META_DO(t, node_delete, *ino) : rc;
}

static void make(unsigned f)
{
    meta_ino ino = FIRST_INO + f;
    assert_int_equal(meta_transact(rig.m, META_TXN_WRITE, new_file, &ino), 0);
    memset(model[f], 0, sizeof(model[f]));
    lengths[f] = 0;
    alive[f] = true;
}

static void grow(unsigned f, uint32_t cells)
{
    if (lengths[f] < cells)
        lengths[f] = cells;
}

static void do_write(unsigned f)
{
    uint32_t indx = below(3), pos = below(CELLS_PER_CHUNK), len = 1 + below(CELLS_PER_CHUNK - pos);
    struct meta_slice s = {.size = len * CELL, .len = len * CELL};
    assert_int_equal(meta_new_slice(rig.m, &s.id), 0);
    assert_true(s.id < SLICES_MAX);
    store[s.id] = (struct stored){.exists = true, .size = len * CELL};
    for (uint32_t c = 0; c < len; c++)
        store[s.id].value[c] = model[f][indx * CELLS_PER_CHUNK + pos + c] = ++next_value;
    assert_int_equal(meta_write_slice(rig.m, FIRST_INO + f, indx, pos * CELL, &s, NULL), 0);
    grow(f, indx * CELLS_PER_CHUNK + pos + len);
}

static void zero_model(unsigned f, uint32_t from, uint32_t to)
{
    for (uint32_t c = from; c < to; c++)
        model[f][c] = 0;
}

static void do_truncate(unsigned f)
{
    uint32_t length = below(CELLS + 1);
    struct meta_attr attr;
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO + f, (uint64_t)length * CELL, false, &attr), 0);
    assert_true(attr.length == (uint64_t)length * CELL);
    if (length < lengths[f])
        zero_model(f, length, lengths[f]);
    lengths[f] = length;
}

static void do_punch(unsigned f)
{
    uint32_t from = below(CELLS), len = 1 + below(CELLS - from);
    bool keep = below(2);
    unsigned mode = keep ? META_FALLOC_PUNCH_HOLE | META_FALLOC_KEEP_SIZE : META_FALLOC_ZERO_RANGE;
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO + f, mode, (uint64_t)from * CELL, (uint64_t)len * CELL), 0);
    zero_model(f, from, from + len < lengths[f] ? from + len : lengths[f]);
    if (!keep)
        grow(f, from + len);
}

static void do_copy(unsigned f)
{
    unsigned from = below(FILES);
    uint32_t src = below(CELLS), dst = below(CELLS), len = 1 + below(CELLS - (src > dst ? src : dst));
    uint32_t old[CELLS];
    uint64_t copied = 77;
    if (!alive[from])
        return;
    memcpy(old, model[from], sizeof(old));
    assert_int_equal(meta_copy_range(rig.m, FIRST_INO + from, (uint64_t)src * CELL, FIRST_INO + f, (uint64_t)dst * CELL,
                                     (uint64_t)len * CELL, &copied),
                     0);
    uint32_t there = src < lengths[from] ? lengths[from] - src : 0;
    len = len < there ? len : there;
    assert_true(copied == (uint64_t)len * CELL);
    memcpy(&model[f][dst], &old[src], len * sizeof(old[0]));
    if (len > 0)
        grow(f, dst + len);
}

static void do_compact(unsigned f)
{
    assert_int_equal(meta_compact_chunk(rig.m, FIRST_INO + f, below(3)), 0);
}

static void do_delete(unsigned f)
{
    meta_ino ino = FIRST_INO + f;
    assert_int_equal(meta_transact(rig.m, META_TXN_WRITE, drop_file, &ino), 0);
    meta_delete_file_data(rig.m, ino, lengths[f] * (uint64_t)CELL);
    alive[f] = false;
}

static void check_chunk(unsigned f, uint32_t indx)
{
    struct meta_slice *pieces = NULL;
    size_t count = 0;
    uint32_t seen[CELLS_PER_CHUNK] = {0};
    assert_int_equal(meta_read_chunk(rig.m, FIRST_INO + f, indx, &pieces, &count), 0);
    for (size_t i = 0; i < count; i++)
        for (uint32_t c = 0; c < pieces[i].len / CELL; c++)
            seen[pieces[i].pos / CELL + c] = stored_value(&pieces[i], c);
    free(pieces);
    for (uint32_t c = 0; c < CELLS_PER_CHUNK; c++) {
        uint32_t cell = indx * CELLS_PER_CHUNK + c;
        if (cell < lengths[f] && seen[c] != model[f][cell])
            fail_msg("file %u cell %u: %u, not %u", f, cell, seen[c], model[f][cell]);
    }
}

/* References */

static int count_records(void *arg, meta_ino ino, uint32_t indx, struct str records)
{
    (void)ino;
    (void)indx;
    int64_t *counts = arg;
    struct meta_slice *list;
    size_t count;
    int rc = meta_slices_parse(records, &list, &count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        counts[list[i].id]++;
    free(rc == 0 ? list : NULL);
    return rc;
}

static int count_delayed(void *arg, uint64_t id, int64_t deleted_s, struct str slices)
{
    (void)id;
    (void)deleted_s;
    int64_t *counts = arg;
    for (size_t at = 0; at < slices.len; at += 12) {
        uint64_t slice = 0;
        for (size_t i = 0; i < 8; i++)
            slice = slice << 8 | (uint8_t)slices.ptr[at + i];
        counts[slice]++;
    }
    return 0;
}

static int count_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    int rc = META_DO(t, chunk_scan_all, 0, 0, count_records, arg);
    return rc == 0 ? META_DO(t, delslices_scan, INT64_MAX, 1000000, count_delayed, arg) : rc;
}

struct ref {
    uint64_t id;
    uint32_t size;
    int64_t refs;
};

static int ref_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct ref *r = arg;
    return META_DO(t, ref_get, r->id, r->size, &r->refs);
}

static void check_refs(void)
{
    int64_t *counts = calloc(SLICES_MAX, sizeof(*counts));
    assert_int_equal(meta_transact(rig.m, META_TXN_READ, count_txn, counts), 0);
    for (uint64_t id = 1; id < SLICES_MAX; id++) {
        struct ref r = {.id = id, .size = store[id].size};
        assert_int_equal(store[id].exists, counts[id] > 0);
        if (counts[id] == 0)
            continue;
        assert_int_equal(meta_transact(rig.m, META_TXN_READ, ref_txn, &r), 0);
        assert_int_equal(r.refs, counts[id]);
    }
    free(counts);
}

static void random_rounds(uint64_t start, int rounds)
{
    static void (*const actions[])(unsigned f) = {do_write,    do_write, do_write, do_write,   do_truncate,
                                                  do_punch,    do_copy,  do_copy,  do_compact, do_compact};
    seed = start;
    for (unsigned f = 0; f < FILES; f++)
        make(f);
    for (int i = 0; i < rounds; i++) {
        unsigned f = below(FILES);
        if (below(100) == 0) {
            do_delete(f);
            check_refs();
            make(f);
        }
        actions[below(ARRAY_SIZE(actions))](f);
        for (uint32_t indx = 0; indx < 3; indx++)
            check_chunk(f, indx);
    }
    check_refs();
}

static void begin(uint32_t trash_days)
{
    meta_rig_open(&rig);
    meta_set_features(rig.m, &(struct meta_features){.trash_days = trash_days, .dir_stats = true});
    meta_set_data_callbacks(rig.m, delete_slice, compact_slice, NULL);
    store = calloc(SLICES_MAX, sizeof(*store));
    next_value = 0;
}

static void end(void)
{
    free(store);
    meta_rig_close(&rig);
}

static void test_random(void **state)
{
    (void)state;
    begin(0);
    random_rounds(1, 1500);
    for (unsigned f = 0; f < FILES; f++)
        do_delete(f);
    check_refs();
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk"), 0);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk_ref"), 0);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_delfile"), 0);
    end();
}

/* With a trash, what compaction replaced stays until the delay is over. */
static void test_random_delayed(void **state)
{
    (void)state;
    begin(1);
    random_rounds(2, 1000);
    assert_true(meta_rig_number(&rig, "select count(*) from jfs_delslices") > 0);
    meta_reclaim_delayed(rig.m, 1);
    assert_true(meta_rig_number(&rig, "select count(*) from jfs_delslices") > 0);
    meta_reclaim_delayed(rig.m, INT64_MAX);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_delslices"), 0);
    check_refs();
    end();
}

/* Between reading and replacing, others append: fine. They rewrote the beginning: the work is thrown away. */
static bool interfere_append;

static int interfering_compact(void *arg, const struct meta_slice *pieces, size_t count, uint64_t new_id)
{
    (void)arg;
    const uint64_t id = 9000 + new_id;
    const struct meta_slice s = {.id = id, .size = CELL, .len = CELL};
    int rc = compact_slice(NULL, pieces, count, new_id);
    store[id] = (struct stored){.exists = true, .size = CELL, .value = {12345}};
    if (interfere_append) {
        assert_int_equal(meta_write_slice(rig.m, FIRST_INO, 0, 0, &s, NULL), 0);
        model[0][0] = 12345;
        return rc;
    }
    store[id].exists = false;
    rig.m->compact_slice = compact_slice;
    assert_int_equal(meta_compact_chunk(rig.m, FIRST_INO, 0), 0);
    rig.m->compact_slice = interfering_compact;
    return rc;
}

static void compact_with_interference(bool append)
{
    begin(0);
    seed = 3;
    make(0);
    for (int i = 0; i < 20; i++)
        do_write(0);
    interfere_append = append;
    rig.m->compact_slice = interfering_compact;
    assert_int_equal(meta_compact_chunk(rig.m, FIRST_INO, 0), 0);
    for (uint32_t indx = 0; indx < 3; indx++)
        check_chunk(0, indx);
    check_refs();
    end();
}

static void test_compaction_races(void **state)
{
    (void)state;
    compact_with_interference(true);
    compact_with_interference(false);
}

#ifdef SLUICE_FAULTS
/* Everything that changes chunks, whatever fails of it. */
static void careless_work(void)
{
    const meta_ino a = FIRST_INO, b = FIRST_INO + 1;
    uint64_t copied;
    int failed = 0;
    for (uint64_t i = 0; i < 4; i++) {
        struct meta_slice s = {.size = 4 * CELL, .len = 4 * CELL};
        if (meta_new_slice(rig.m, &s.id) < 0)
            continue;
        store[s.id] = (struct stored){.exists = true, .size = s.size};
        failed += meta_write_slice(rig.m, a, 0, (uint32_t)i * CELL, &s, NULL) < 0;
    }
    failed += meta_copy_range(rig.m, a, 0, b, CELL, 3 * CELL, &copied) < 0;
    failed += meta_truncate(rig.m, NULL, a, 2 * CELL, true, NULL) < 0;
    failed += meta_fallocate(rig.m, b, META_FALLOC_ZERO_RANGE, 0, CELL) < 0;
    failed += meta_compact_chunk(rig.m, a, 0) < 0;
    failed += meta_compact_chunk(rig.m, b, 0) < 0;
    failed += meta_transact(rig.m, META_TXN_WRITE, drop_file, &(meta_ino){a}) < 0;
    meta_delete_file_data(rig.m, a, 2 * CELL);
    assert_true(failed <= 1);
}

/* What is mentioned is there, and counted as often as it is mentioned. */
static void assert_sound(void)
{
    int64_t *counts = calloc(SLICES_MAX, sizeof(*counts));
    assert_int_equal(meta_transact(rig.m, META_TXN_READ, count_txn, counts), 0);
    for (uint64_t id = 1; id < SLICES_MAX; id++) {
        struct ref r = {.id = id, .size = store[id].size};
        if (counts[id] == 0)
            continue;
        assert_true(store[id].exists);
        assert_int_equal(meta_transact(rig.m, META_TXN_READ, ref_txn, &r), 0);
        assert_int_equal(r.refs, counts[id]);
    }
    free(counts);
}

/* A slice whose record could not be removed is deleted once more. */
static int delete_again(void *arg, uint64_t id, uint32_t size)
{
    (void)arg;
    (void)size;
    store[id].exists = false;
    return 0;
}

/* The n-th commit fails; the duties clear up what was left. */
static void test_failing_commits(void **state)
{
    (void)state;
    for (int n = 1; n <= 40; n++) {
        char fault[40];
        begin(0);
        make(0);
        make(1);
        meta_set_data_callbacks(rig.m, delete_again, compact_slice, NULL);
        (void)snprintf(fault, sizeof(fault), "meta.commit:%d:EIO", n);
        fault_set_for_test(fault);
        careless_work();
        fault_set_for_test(NULL);
        assert_sound();
        if (meta_rig_number(&rig, "select count(*) from jfs_node where inode=100") == 0) {
            meta_reclaim_deleted_files(rig.m, INT64_MAX);
            assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_delfile"), 0);
            assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk where inode=100"), 0);
        }
        meta_reclaim_garbage(rig.m);
        assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk_ref where refs<=0"), 0);
        assert_sound();
        end();
    }
}

static void *drop_all_chunks(void *arg)
{
    (void)arg;
    usleep(300 * 1000);
    free(meta_rig_sql(&rig, "delete from jfs_chunk"));
    return NULL;
}

/* Two clients at the data of one file: what the other has done since we looked is done, and not waited for. */
static void test_data_that_others_delete(void **state)
{
    const meta_ino ino = FIRST_INO;
    pthread_t other;
    (void)state;
    begin(0);
    make(0);
    do_write(0);
    assert_int_equal(meta_transact(rig.m, META_TXN_WRITE, drop_file, &(meta_ino){ino}), 0);
    fault_set_for_test("meta.commit:1:sleep1000"); /* of the look */
    const uint64_t started_ms = clock_mono_ms();
    assert_int_equal(pthread_create(&other, NULL, drop_all_chunks, NULL), 0);
    assert_int_equal(meta_reclaim_file(rig.m, ino, lengths[0] * (uint64_t)CELL), 0);
    assert_true(clock_mono_ms() - started_ms < 20000);
    assert_int_equal(pthread_join(other, NULL), 0);
    fault_set_for_test(NULL);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_delfile"), 0);
    end();
}

/* Usage that cannot be written now is written the next time. */
static void test_usage_survives_failure(void **state)
{
    (void)state;
    begin(0);
    make(0);
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, 10000, false, NULL), 0);
    fault_set_for_test("meta.commit:1:EIO");
    meta_usage_flush_volume(rig.m);
    fault_set_for_test(NULL);
    assert_true(meta_rig_number(&rig, "select coalesce(sum(value),0) from jfs_counter where name='usedSpace'") == 0);
    meta_usage_flush_volume(rig.m);
    assert_int_equal(meta_rig_number(&rig, "select value from jfs_counter where name='usedSpace'"), 12288 - 4096);
    end();
}
#endif

static void test_refusals(void **state)
{
    (void)state;
    begin(0);
    make(0);
    struct meta_slice s = {.id = 5, .size = CELL, .len = CELL}, *out;
    size_t count;
    uint64_t copied;
    assert_int_equal(meta_write_slice(rig.m, 777, 0, 0, &s, NULL), -ENOENT);
    assert_int_equal(meta_write_slice(rig.m, META_ROOT, 0, 0, &s, NULL), -EPERM);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk_ref"), 0);
    assert_int_equal(meta_read_chunk(rig.m, 777, 0, &out, &count), -ENOENT);
    assert_int_equal(meta_read_chunk(rig.m, META_ROOT, 0, &out, &count), -EPERM);
    assert_int_equal(meta_truncate(rig.m, NULL, META_ROOT, 0, false, NULL), -EPERM);
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, 1ull << 57, false, NULL), -EFBIG);
    const struct meta_ctx other = {.uid = 7, .gid = 7, .check_permission = true};
    assert_int_equal(meta_truncate(rig.m, &other, FIRST_INO, 1, false, NULL), -EACCES);
    assert_int_equal(meta_truncate(rig.m, &other, FIRST_INO, 1, true, NULL), 0);
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO, META_FALLOC_PUNCH_HOLE, 0, 1), -EINVAL);
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO, 8, 0, 1), -ENOTSUP);
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO, 0, 0, 0), -EINVAL);
    assert_int_equal(meta_copy_range(rig.m, FIRST_INO, 0, META_ROOT, 0, 1, &copied), -EINVAL);
    assert_int_equal(meta_copy_range(rig.m, FIRST_INO, 0, 777, 0, 1, &copied), -ENOENT);
    end();
}

/* Usage of the volume and of the directory follows the length. */
/* Punching a hole into one costs nothing, however large. */
static void test_holes_in_holes(void **state)
{
    const uint64_t large = 1ull << 40;
    (void)state;
    begin(0);
    make(0);
    do_write(0);
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, large, false, NULL), 0);
    const int64_t chunks = meta_rig_number(&rig, "select count(*) from jfs_chunk");
    assert_in_range(chunks, 1, 2);
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO, META_FALLOC_PUNCH_HOLE | META_FALLOC_KEEP_SIZE, 0, large), 0);
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO, META_FALLOC_ZERO_RANGE, 1, large - 1), 0);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk"), chunks);
    memset(model[0], 0, sizeof(model[0]));
    for (uint32_t indx = 0; indx < 3; indx++)
        check_chunk(0, indx);
    end();
}

static void test_usage(void **state)
{
    (void)state;
    begin(0);
    make(0);
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, 10000, false, NULL), 0);
    assert_int_equal(meta_fallocate(rig.m, FIRST_INO, 0, 0, 20000), 0);
    meta_usage_flush_volume(rig.m);
    /* from the 4096 of an empty file */
    assert_int_equal(meta_rig_number(&rig, "select value from jfs_counter where name='usedSpace'"), 20480 - 4096);
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, 0, false, NULL), 0);
    meta_usage_flush_volume(rig.m);
    assert_int_equal(meta_rig_number(&rig, "select value from jfs_counter where name='usedSpace'"), 0);
    meta_set_features(rig.m, &(struct meta_features){.capacity = 100000});
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, 200000, false, NULL), -ENOSPC);
    assert_int_equal(meta_truncate(rig.m, NULL, FIRST_INO, 90000, false, NULL), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_delayed),
        cmocka_unit_test(test_compaction_races),
#ifdef SLUICE_FAULTS
        cmocka_unit_test(test_failing_commits),
        cmocka_unit_test(test_data_that_others_delete),
        cmocka_unit_test(test_usage_survives_failure),
#endif
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_holes_in_holes),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
