/* Every kind of damage to a volume's metadata, planted row by row: found, named, mended where that is possible, and gone then. */
#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/support/meta_rig.h"
#include "tests/support/unit.h"
#include "vfs/meta/check.h"
#include "vfs/meta/upkeep.h"

#define SIZE 100000
#define TEXT_MAX 8192

static struct meta_rig rig;
static meta_ino d, sub, f, g, hard, soft, erased;
static uint64_t slices[4];
static char told_memory[TEXT_MAX];
static struct buf told;

static meta_ino make_file(meta_ino parent, const char *name)
{
    struct meta_attr attr;
    meta_ino ino;
    assert_int_equal(meta_create(rig.m, NULL, parent, str_z(name), 0644, 0, true, &ino, &attr), 0);
    meta_node_close(rig.m, ino);
    return ino;
}

static uint64_t write_slice(meta_ino ino, uint32_t indx, uint32_t off)
{
    struct meta_slice s = {.size = SIZE, .len = SIZE};
    assert_int_equal(meta_new_slice(rig.m, &s.id), 0);
    assert_int_equal(meta_write_slice(rig.m, ino, indx, off, &s, NULL), 0);
    return s.id;
}

/* /d/f (two slices of its own, one shared with g), /d/sub/g, /hard and /d/hard (one file), /soft, a file that is
 * deleted but whose data waits, a delayed slice, one file in the trash. */
static int set_up(void **state)
{
    struct meta_attr attr;
    uint64_t copied;
    (void)state;
    meta_rig_open(&rig);
    meta_set_features(rig.m, &(struct meta_features){.dir_stats = true, .trash_days = 1});
    assert_int_equal(meta_mkdir(rig.m, NULL, META_ROOT, STR("d"), 0755, 0, &d, &attr), 0);
    assert_int_equal(meta_mkdir(rig.m, NULL, d, STR("sub"), 0755, 0, &sub, &attr), 0);
    f = make_file(d, "f");
    g = make_file(sub, "g");
    hard = make_file(META_ROOT, "hard");
    assert_int_equal(meta_link(rig.m, NULL, hard, d, STR("hard"), &attr), 0);
    assert_int_equal(meta_symlink(rig.m, NULL, META_ROOT, STR("soft"), STR("d/f"), &soft, &attr), 0);
    slices[0] = write_slice(f, 0, 0);
    slices[1] = write_slice(f, 1, 5);
    assert_int_equal(meta_copy_range(rig.m, f, 0, g, 0, SIZE, &copied), 0);
    erased = make_file(META_ROOT, "erased");
    slices[2] = write_slice(erased, 0, 0);
    assert_int_equal(meta_unlink(rig.m, NULL, META_ROOT, STR("erased"), 0, NULL), 0);
    assert_int_equal(meta_new_slice(rig.m, &slices[3]), 0);
    char sql[256];
    (void)snprintf(sql, sizeof(sql), "insert into jfs_delslices values (999, %lld, x'%016llx%08x')",
                   (long long)clock_wall_s(), (unsigned long long)slices[3], SIZE);
    free(meta_rig_sql(&rig, sql));
    (void)snprintf(sql, sizeof(sql), "insert into jfs_chunk_ref values (%llu, %d, 1)", (unsigned long long)slices[3], SIZE);
    free(meta_rig_sql(&rig, sql));
    free(meta_rig_sql(&rig, "update jfs_session2 set expire = 4000000000"));
    meta_usage_flush_volume(rig.m);
    meta_rig_check(&rig);
    told = buf_over(told_memory, sizeof(told_memory));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    meta_rig_close(&rig);
    return 0;
}

static int tell(void *arg, const struct meta_finding *x)
{
    (void)arg;
    buf_addf(&told, "%s", meta_flaw_name(x->flaw));
    if (x->ino)
        buf_addf(&told, " %llu", (unsigned long long)x->ino);
    if (x->name.len)
        buf_addf(&told, " '%.*s'", STR_ARG(x->name));
    if (x->slice)
        buf_addf(&told, " slice %llu", (unsigned long long)x->slice);
    if (x->found != x->expected)
        buf_addf(&told, " %lld/%lld", (long long)x->found, (long long)x->expected);
    buf_addf(&told, "%s\n", x->repaired ? " repaired" : x->kept ? " kept" : "");
    return 0;
}

/* Everything that is told, a line each; "%f" and the like in `expected` are filled in by the caller. */
static struct meta_check_result check(bool repair)
{
    const struct meta_check_options options = {.repair = repair, .settle_ms = 1, .fn = tell};
    struct meta_check_result result;
    buf_reset(&told);
    assert_int_equal(meta_check(rig.m, &options, NULL, &result), 0);
    return result;
}

static void a_sound_volume_is_sound(void **state)
{
    (void)state;
    struct meta_check_result r = check(true);
    assert_str(buf_str(&told), "");
    assert_int_equal(r.nodes, 10); /* the trash and one of its hours among them */
    assert_int_equal(r.chunks, 4);
    assert_int_equal(r.slices, 5);
    assert_int_equal(r.unsettled + r.damaged_lists + r.not_told, 0);
    meta_rig_check(&rig);
}

/* $d $s $f $g $h $l $e: the inodes; $0 to $3: the slices. */
static void expand(const char *in, struct buf *out)
{
    buf_reset(out);
    for (; *in; in++) {
        const char *letters = "dsfghle";
        const meta_ino inos[] = {d, sub, f, g, hard, soft, erased};
        const char *at = in[0] == '$' && in[1] ? strchr(letters, in[1]) : NULL;
        if (at)
            buf_addf(out, "%llu", (unsigned long long)inos[at - letters]);
        else if (in[0] == '$' && in[1] >= '0' && in[1] <= '3')
            buf_addf(out, "%llu", (unsigned long long)slices[in[1] - '0']);
        else
            buf_addc(out, *in);
        in += at || in[0] == '$';
    }
}

struct damage {
    const char *sql, *more; /* statements */
    const char *found, *repaired, *left;
};

static const struct damage damages[] = {
    /* names */
    {"delete from jfs_node where inode = $f", NULL, "name-without-node $f 'f' 1/0\nchunk-without-file $f\n#",
     "name-without-node $f 'f' 1/0 kept\nchunk-without-file $f kept\n#", "name-without-node $f 'f' 1/0\nchunk-without-file $f\n"},
    {"delete from jfs_node where inode = $s", NULL, "name-without-node $s 'sub' 2/0\nname-without-directory $s 1/0\n#",
     "name-without-node $s 'sub' 2/0 repaired\n", ""},
    {"update jfs_edge set type = 3 where inode = $f", NULL, "name-type $f 'f' 3/1\n", "name-type $f 'f' 3/1 repaired\n", ""},
    {"update jfs_edge set type = 2 where inode = $f", NULL, NULL, NULL, NULL},
    {"insert into jfs_edge (parent, name, inode, type) values (777, x'41', $h, 1)", NULL,
     "links $h 2/3\nname-without-directory 777 1/0\n", "links $h 2/3 repaired\nname-without-directory 777 1/0 kept\n",
     "name-without-directory 777 1/0\n"},
    {"insert into jfs_edge (parent, name, inode, type) values (1, x'41', $s, 2)", NULL,
     "links 1 3/4\ndirectory-names $s 2/1\n#", "links 1 3/4 repaired\ndirectory-names $s 2/1 kept\n#", "directory-names $s 2/1\n"},
    /* nodes */
    {"delete from jfs_edge where inode = $g", NULL, "orphan $g 100000/0\n#", "orphan $g 100000/0 kept\n#",
     "orphan $g 100000/0\n"},
    {"update jfs_node set type = 9 where inode = $g", NULL, "node-type $g 9/0\n#", "node-type $g 9/0 kept\n#",
     "node-type $g 9/0\n"},
    {"update jfs_node set nlink = 7 where inode = $h", NULL, "links $h 7/2\n", "links $h 7/2 repaired\n", ""},
    {"update jfs_node set nlink = 2 where inode = $d", NULL, "links $d 2/3\n", "links $d 2/3 repaired\n", ""},
    {"update jfs_node set parent = 4711 where inode = $f", NULL, "parent $f 4711/$d\n", "parent $f 4711/$d repaired\n", ""},
    {"update jfs_node set parent = 1 where inode = $h", NULL, "parent $h 1/0\n", "parent $h 1/0 repaired\n", ""},
    {"update jfs_node set parent = 1 where inode = $s", NULL, "parent $s 1/$d\n", "parent $s 1/$d repaired\n", ""},
    {"update jfs_node set length = 1 where inode = $d", NULL, "length $d 1/4096\n", "length $d 1/4096 repaired\n", ""},
    {"update jfs_node set length = 9 where inode = $l", NULL, "length $l 9/3\n", "length $l 9/3 repaired\n", ""},
    {"update jfs_node set length = -1 where inode = $f", NULL, NULL, NULL, NULL},
    {"delete from jfs_symlink", NULL, "missing-target $l\n", "missing-target $l kept\n", "missing-target $l\n"},
    {"insert into jfs_sustained (sid, inode) values (1, $h)", NULL, "kept-open $h\n", "kept-open $h repaired\n", ""},
    /* data */
    {"update jfs_chunk set slices = slices || x'00' where inode = $g", NULL, "chunk $g\n", "chunk $g kept\n", "chunk $g\n"},
    {"insert into jfs_chunk (inode, indx, slices) values (888, 3, x'00000000000000000000000000000000000000000000ffff')",
     NULL, "chunk-without-file 888\n", "chunk-without-file 888 repaired\n", ""},
    {"update jfs_chunk_ref set refs = 1 where chunkid = $0", NULL, "slice-count $f slice $0 1/2\n",
     "slice-count $f slice $0 1/2 repaired\n", ""},
    {"update jfs_chunk_ref set refs = 5 where chunkid = $3", NULL, "slice-count slice $3 5/1\n",
     "slice-count slice $3 5/1 repaired\n", ""},
    {"update jfs_chunk_ref set refs = -1 where chunkid = $1", NULL, "slice-count $f slice $1 -1/1\n",
     "slice-count $f slice $1 -1/1 repaired\n", ""},
    {"delete from jfs_chunk_ref where chunkid = $0", NULL, "slice-count $f slice $0 0/2\n",
     "slice-count $f slice $0 0/2 repaired\n", ""},
    {"insert into jfs_chunk_ref values (1000, 5, 1)", NULL, "slice-unused slice 1000 1/0\n",
     "slice-unused slice 1000 1/0 kept\n", "slice-unused slice 1000 1/0\n"},
    {"insert into jfs_chunk_ref values (1000, 5, 0)", NULL, "", "", ""},
    {"update jfs_chunk_ref set size = 5 where chunkid = $1", NULL, "slice-size slice $1 5/100000\n",
     "slice-size slice $1 5/100000 kept\n", "slice-size slice $1 5/100000\n"},
    {"update jfs_delslices set slices = x'00'", NULL, "chunk slice 999\nslice-unused slice $3 1/0\n", NULL, NULL},
    /* usage */
    {"update jfs_dir_stats set used_inodes = used_inodes + 3 where inode = $d", NULL, "directory-inodes $d 6/3\n",
     "directory-inodes $d 6/3 repaired\n", ""},
    {"update jfs_dir_stats set used_space = 0 where inode = $s", NULL, "directory-space $s 0/102400\n",
     "directory-space $s 0/102400 repaired\n", ""},
    {"update jfs_dir_stats set data_length = 1 where inode = $s", NULL, "directory-space $s 1/100000\n",
     "directory-space $s 1/100000 repaired\n", ""},
    {"delete from jfs_dir_stats where inode = $s", NULL, "directory-inodes $s 0/1\ndirectory-space $s 0/102400\n",
     "directory-inodes $s 0/1 repaired\ndirectory-space $s 0/102400 repaired\n", ""},
    {"update jfs_counter set value = value - 4096 where name = 'usedSpace'", NULL, NULL, NULL, ""},
    {"update jfs_counter set value = value + 1 where name = 'totalInodes'", NULL, "volume-inodes 9/8\n",
     "volume-inodes 9/8 repaired\n", ""},
    {"update jfs_counter set value = 3 where name = 'nextInode'", NULL, NULL, NULL, ""},
    {"update jfs_counter set value = 1 where name = 'nextChunk'", NULL, "next-number 'nextChunk' 1/5\n",
     "next-number 'nextChunk' 1/5 repaired\n", ""},
    {"update jfs_counter set value = 0 where name = 'nextTrash'", NULL, "next-number 'nextTrash' 0/1\n",
     "next-number 'nextTrash' 0/1 repaired\n", ""},
    {"insert into jfs_dir_quota values ($d, 1000000, 0, 5, 7)", NULL, NULL, NULL, ""},
    {"delete from jfs_node where inode = 9223372032828243968", NULL,
     "missing-root 9223372032828243968\nname-without-directory 9223372032828243968 1/0\n",
     "missing-root 9223372032828243968 repaired\n", ""},
    {"delete from jfs_node where inode = 1", NULL, "missing-root 1\nname-without-directory 1 3/0\n",
     "missing-root 1 repaired\n", ""},
};

/* expected NULL: something, we do not say what; '#' at its end: how it begins. */
static void assert_told(const struct damage *x, const char *expected)
{
    char memory[1024];
    struct buf text = buf_over(memory, sizeof(memory));
    if (!expected) {
        assert_true(told.len > 0);
        return;
    }
    expand(expected, &text);
    bool whole = !str_ends(buf_str(&text), STR("#"));
    struct str begin = whole ? buf_str(&text) : str_first(buf_str(&text), text.len - 1);
    if (whole ? !str_eq(buf_str(&told), begin) : !str_starts(buf_str(&told), begin))
        fail_msg("%s\nfound:\n%s\nexpected:\n%s", x->sql, buf_z(&told), buf_z(&text));
}

static void every_damage_is_found_and_mended(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        const struct damage *x = &damages[i];
        char memory[1024];
        struct buf sql = buf_over(memory, sizeof(memory));
        if (i > 0) {
            (void)tear_down(state);
            (void)set_up(state);
        }
        expand(x->sql, &sql);
        free(meta_rig_sql(&rig, buf_z(&sql)));
        (void)check(false);
        assert_told(x, x->found);
        (void)check(false); /* looking changes nothing */
        assert_told(x, x->found);
        (void)check(true);
        assert_told(x, x->repaired);
        (void)check(false);
        assert_told(x, x->left);
        if (x->left && x->left[0] == '\0')
            meta_rig_check(&rig);
    }
}

/* Official clients do not keep them. */
static void statistics_of_the_trashs_hours_are_not_judged(void **state)
{
    (void)state;
    free(meta_rig_sql(&rig, "update jfs_dir_stats set used_inodes = used_inodes - 3 where inode > 9223372032828243968"));
    (void)check(true);
    assert_str(buf_str(&told), "");
    free(meta_rig_sql(&rig, "update jfs_dir_stats set used_inodes = used_inodes + 3 where inode > 9223372032828243968"));
}

/* Between the look and the repair somebody copies the slice's file: nobody counts that, as there is no count yet. */
static void a_missing_count_is_never_too_low(void **state)
{
    char memory[512];
    struct buf text = buf_over(memory, sizeof(memory));
    (void)state;
    expand("create trigger copy after insert on jfs_chunk_ref begin insert into jfs_chunk (inode, indx, slices) "
           "select inode, 7, slices from jfs_chunk where inode = $g and indx = 0; end",
           &text);
    free(meta_rig_sql(&rig, buf_z(&text)));
    expand("delete from jfs_chunk_ref where chunkid = $0", &text);
    free(meta_rig_sql(&rig, buf_z(&text)));
    (void)check(true);
    expand("slice-count $f slice $0 0/3 repaired\n", &text);
    assert_str(buf_str(&told), buf_z(&text));
    free(meta_rig_sql(&rig, "drop trigger copy"));
    (void)check(false);
    assert_str(buf_str(&told), "");
}

/* Owners with a record are compared with what is theirs; root and trash belong to nobody. */
static void usage_of_users_and_groups(void **state)
{
    (void)state;
    meta_set_features(rig.m, &(struct meta_features){.dir_stats = true, .owner_quotas = true, .trash_days = 1});
    free(meta_rig_sql(&rig, "update jfs_node set uid = 7, gid = 8 where type = 1"));
    char sql[512], *space = meta_rig_sql(&rig, "select sum((length + 4095) / 4096 * 4096 + (length = 0) * 4096) from jfs_node where type = 1");
    const long long bytes = atoll(space), files = meta_rig_number(&rig, "select count(*) from jfs_node where type = 1");
    free(space);
    (void)snprintf(sql, sizeof(sql),
                   "insert into jfs_user_group_quota (qtype, qkey, max_space, max_inodes, used_space, used_inodes) values "
                   "(1, 7, 0, 0, %lld, %lld), (2, 8, 0, 0, %lld, %lld), (1, 99, 0, 0, 0, 0), (1, 0, 0, 0, 16384, 4)",
                   bytes, files, bytes, files);
    free(meta_rig_sql(&rig, sql));
    (void)check(false);
    assert_str(buf_str(&told), "");
    free(meta_rig_sql(&rig, "update jfs_user_group_quota set used_space = used_space + 4096 where qkey = 7"));
    free(meta_rig_sql(&rig, "update jfs_user_group_quota set used_inodes = used_inodes - 1 where qkey = 8"));
    free(meta_rig_sql(&rig, "update jfs_user_group_quota set used_space = 100, used_inodes = 1 where qkey = 99"));
    (void)check(true);
    (void)snprintf(sql, sizeof(sql),
                   "user-space 7 %lld/%lld repaired\nuser-space 99 100/0 repaired\nuser-inodes 99 1/0 repaired\n"
                   "group-inodes 8 %lld/%lld repaired\n",
                   bytes + 4096, bytes, files - 1, files);
    assert_str(buf_str(&told), sql);
    (void)check(false);
    assert_str(buf_str(&told), "");
}

/* What clients write later is judged only when it stands still: each look at a directory finds another number. */
static void change_something(void)
{
    free(meta_rig_sql(&rig, "update jfs_dir_stats set used_inodes = used_inodes + 1"));
    free(meta_rig_sql(&rig, "update jfs_counter set value = value + 1 where name = 'totalInodes'"));
}

static _Atomic bool busy_end;

static void *be_busy(void *arg)
{
    (void)arg;
    while (!busy_end)
        change_something();
    return NULL;
}

static void what_does_not_stand_still_is_not_judged(void **state)
{
    (void)state;
    pthread_t thread;
    busy_end = false;
    const struct meta_check_options options = {.repair = true, .settle_ms = 1000, .fn = tell};
    struct meta_check_result result;
    change_something();
    thread_start(&thread, "busy", be_busy, NULL);
    buf_reset(&told);
    assert_int_equal(meta_check(rig.m, &options, NULL, &result), 0);
    busy_end = true;
    pthread_join(thread, NULL);
    assert_str(buf_str(&told), "");
    assert_int_equal(result.unsettled, 4); /* three directories and the volume */
}

static void a_kept_node_of_no_session_is_removed(void **state)
{
    (void)state;
    struct meta_draft draft;
    char line[128];
    assert_int_equal(meta_draft(rig.m, NULL, d, 0644, 0, &draft), 0);
    const meta_ino staged = draft.ino;
    assert_int_equal(meta_stage(rig.m, &draft), 0);
    (void)check(true);
    assert_str(buf_str(&told), ""); /* our session has it */
    free(meta_rig_sql(&rig, "update jfs_sustained set sid = 77"));
    (void)check(true);
    (void)snprintf(line, sizeof(line), "kept-open %llu 77/0 repaired\n", (unsigned long long)staged);
    assert_str(buf_str(&told), line);
    (void)check(false);
    assert_str(buf_str(&told), "");
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_sustained"), 0);
    meta_rig_check(&rig);
    meta_node_close(rig.m, staged);
}

/* A deleted file whose list cannot be read goes all the same; counts of what it mentioned are for the check. */
static void an_unreadable_list_does_not_keep_a_deleted_file(void **state)
{
    char memory[256];
    struct buf line = buf_over(memory, sizeof(memory));
    (void)state;
    expand("update jfs_chunk set slices = slices || x'00' where inode = $g", &line);
    free(meta_rig_sql(&rig, buf_z(&line)));
    assert_int_equal(meta_unlink(rig.m, NULL, sub, STR("g"), META_SKIP_TRASH, NULL), 0);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_delfile"), 0);
    assert_int_equal(meta_rig_number(&rig, "select count(*) from jfs_chunk"), 3);
    (void)check(true);
    expand("slice-count $f slice $0 2/1 repaired\n", &line);
    assert_str(buf_str(&told), buf_z(&line));
    (void)check(false);
    assert_str(buf_str(&told), "");
}

static void assert_subtree(const char *path, bool recursive, const char *expected)
{
    const struct meta_check_options options = {.settle_ms = 1, .fn = tell};
    struct meta_check_result result;
    struct meta_attr attr;
    meta_ino ino;
    char memory[1024];
    struct buf text = buf_over(memory, sizeof(memory));
    buf_reset(&told);
    assert_int_equal(meta_resolve(rig.m, NULL, META_ROOT, str_z(path), &ino, &attr), 0);
    assert_int_equal(meta_check_subtree(rig.m, ino, recursive, &options, NULL, &result), 0);
    expand(expected, &text);
    assert_str(buf_str(&told), buf_z(&text));
}

static void a_subtree_is_looked_at_alone(void **state)
{
    (void)state;
    assert_subtree("d", true, "");
    free(meta_rig_sql(&rig, "update jfs_node set nlink = 9 where type = 1"));
    free(meta_rig_sql(&rig, "update jfs_dir_stats set used_inodes = 5"));
    assert_subtree("d", false, "directory-inodes $d 5/3\n");
    assert_subtree("d", true, "links $f 9/1\nlinks $h 9/2\nlinks $g 9/1\ndirectory-inodes $d 5/3\ndirectory-inodes $s 5/1\n");
    assert_subtree("d/f", false, "links $f 9/1\n");
    assert_subtree("d/f", true, "links $f 9/1\n");
}

static void probes_say_who_needs_a_slice(void **state)
{
    (void)state;
    struct meta_probe p[] = {{.id = slices[0], .size = SIZE}, {.id = slices[2], .size = SIZE}, {.id = slices[3], .size = SIZE},
                             {.id = 4242}};
    assert_int_equal(meta_probe(rig.m, NULL, p, ARRAY_SIZE(p)), 0);
    assert_int_equal(p[0].count, 2);
    assert_int_equal(p[0].refs, 2);
    assert_true(p[0].ino == f || p[0].ino == g);
    assert_int_equal(p[1].ino, erased); /* the trash keeps it */
    assert_int_equal(p[2].count, 1);
    assert_true(p[2].needed);
    assert_int_equal(p[2].ino, 0);
    assert_int_equal(p[3].count, 0);
    assert_false(p[3].counted);
    assert_false(p[3].needed);
}

static void assert_path(meta_ino ino, const char *expected)
{
    char memory[256];
    struct buf path = buf_over(memory, sizeof(memory));
    meta_path_of(rig.m, ino, &path);
    assert_str(buf_str(&path), expected);
}

static void paths_are_found(void **state)
{
    (void)state;
    char memory[256];
    struct buf path = buf_over(memory, sizeof(memory));
    assert_path(META_ROOT, "/");
    assert_path(META_TRASH, "/.trash");
    assert_path(g, "/d/sub/g");
    assert_path(12345, "inode 12345");
    meta_path_of(rig.m, erased, &path);
    assert_true(str_starts(buf_str(&path), STR("/.trash/20")));
    assert_true(str_ends(buf_str(&path), STR("-erased")));
    /* Going round in circles ends. */
    free(meta_rig_sql(&rig, "update jfs_edge set parent = inode where type = 2 and parent = 1"));
    meta_path_of(rig.m, g, &path);
}

static int stop_it(void *arg, const struct meta_finding *x)
{
    (void)x;
    job_stop(arg);
    return 0;
}

static void it_stops_when_asked(void **state)
{
    (void)state;
    struct job job;
    struct meta_check_result result;
    job_init(&job, NULL, 0);
    const struct meta_check_options options = {.settle_ms = 60000, .job = &job, .fn = stop_it, .arg = &job};
    free(meta_rig_sql(&rig, "update jfs_node set nlink = 9"));
    assert_int_equal(meta_check(rig.m, &options, NULL, &result), -ECANCELED);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_volume_is_sound),
        TEST(every_damage_is_found_and_mended),
        TEST(statistics_of_the_trashs_hours_are_not_judged),
        TEST(a_missing_count_is_never_too_low),
        TEST(usage_of_users_and_groups),
        TEST(what_does_not_stand_still_is_not_judged),
        TEST(a_kept_node_of_no_session_is_removed),
        TEST(an_unreadable_list_does_not_keep_a_deleted_file),
        TEST(a_subtree_is_looked_at_alone),
        TEST(probes_say_who_needs_a_slice),
        TEST(paths_are_found),
        TEST(it_stops_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
