/* Judged by the official client (tests/juicefs-client builds it): what we format and write it finds sound, record by record, and
 * what it loads from its own dump of ours is the same volume to us. */
#include "tests/support/unit.h"

#include <limits.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/support/tmpdir.h"
#include "vfs/data/data.h"
#include "vfs/jfs/admin.h"
#include "vfs/meta/settings.h"
#include "vfs/meta/upkeep.h"

#define OUTPUT_MAX (64 * 1024 * 1024)
#define MIB (1024 * 1024)

static char dir[PATH_MAX], url[PATH_MAX + 32], bucket[PATH_MAX + 8];
static const char *client;

/* The client's output, both streams, in a buffer; fails the test unless it ends well. */
static struct buf run(const char *arguments)
{
    char command[3 * PATH_MAX];
    struct buf out = buf_make(OUTPUT_MAX);
    (void)snprintf(command, sizeof(command), "cd %s && %s %s 2>&1", dir, client, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (;;) {
        char *room = buf_reserve(&out, 65536);
        assert_non_null(room);
        size_t n = fread(room, 1, 65536, pipe);
        buf_extend(&out, n);
        if (n == 0)
            break;
    }
    if (pclose(pipe) != 0)
        fail_msg("%s: %s", command, buf_z(&out));
    return out;
}

static bool says(const struct buf *output, const char *text)
{
    return str_find(buf_str(output), str_z(text)) >= 0;
}

struct volume {
    struct meta *m;
    struct store *store;
    struct data *data;
};

static void open_store(const struct meta_settings *s, struct store **out)
{
    struct buf why = buf_make(1000);
    const struct store_config config = {.storage = s->storage, .bucket = s->bucket, .prefix = STR("vol/"), .no_sync = true};
    if (store_open(&config, out, &why) < 0)
        fail_msg("%s", buf_z(&why));
    buf_done(&why);
}

static struct volume open_volume(void)
{
    struct volume v = {0};
    const char *error = "";
    if (meta_open(str_z(url), &(struct meta_options){.no_sync = true}, &v.m, &error) < 0)
        fail_msg("%s", error);
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(v.m);
    open_store(s, &v.store);
    if (data_open(v.store, v.m, s, &(struct data_options){0}, &v.data, &error) < 0)
        fail_msg("%s", error);
    return v;
}

static void close_volume(struct volume *v)
{
    meta_close(v->m);
    data_close(v->data);
    store_close(v->store);
}

static void write_at(struct volume *v, meta_ino ino, uint64_t offset, size_t size, char fill)
{
    struct data_writer *w;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, fill, size);
    assert_int_equal(data_writer_open(v->data, ino, NULL, &w), 0);
    assert_int_equal(data_writer_write(w, str_of(bytes, size), offset), 0);
    assert_int_equal(data_writer_flush(w), 0);
    data_writer_close(w);
    free(bytes);
}

static meta_ino make_file(struct volume *v, meta_ino parent, const char *name)
{
    struct meta_attr attr;
    meta_ino ino;
    assert_int_equal(meta_create(v->m, NULL, parent, str_z(name), 0644, 0, true, &ino, &attr), 0);
    return ino;
}

/* One of everything that leaves records. */
static meta_ino fill(struct volume *v)
{
    struct meta_attr attr;
    meta_ino sub, f, g, gone;
    uint64_t copied;
    assert_int_equal(meta_mkdir(v->m, NULL, META_ROOT, STR("sub"), 0755, 0, &sub, &attr), 0);
    f = make_file(v, META_ROOT, "f");
    write_at(v, f, 0, 5 * MIB, 'a');
    write_at(v, f, 63 * MIB, 3 * MIB, 'b'); /* over a chunk's border */
    write_at(v, f, 1000, 5000, 'c');
    assert_int_equal(meta_truncate(v->m, NULL, f, 65 * MIB + 17, true, NULL), 0);
    assert_int_equal(meta_truncate(v->m, NULL, f, 130 * MIB, true, NULL), 0);
    assert_int_equal(meta_fallocate(v->m, f, META_FALLOC_PUNCH_HOLE | META_FALLOC_KEEP_SIZE, 2 * MIB, 100), 0);
    g = make_file(v, sub, "g");
    assert_int_equal(meta_copy_range(v->m, f, 100, g, 7, 66 * MIB, &copied), 0);
    assert_int_equal(meta_link(v->m, NULL, g, META_ROOT, STR("hard"), &attr), 0);
    assert_int_equal(meta_symlink(v->m, NULL, sub, STR("soft"), STR("../f"), &gone, &attr), 0);
    assert_int_equal(meta_xattr_set(v->m, f, STR("user.x"), STR("y"), 0), 0);
    gone = make_file(v, sub, "gone");
    write_at(v, gone, 0, 100, 'd');
    meta_node_close(v->m, gone);
    assert_int_equal(meta_unlink(v->m, NULL, sub, STR("gone"), 0, NULL), 0); /* into the trash */
    gone = make_file(v, sub, "erased");
    write_at(v, gone, 0, 100, 'e');
    meta_node_close(v->m, gone);
    assert_int_equal(meta_unlink(v->m, NULL, sub, STR("erased"), META_SKIP_TRASH, NULL), 0);
    assert_int_equal(meta_compact_chunk(v->m, f, 0), 0);
    meta_node_close(v->m, f);
    meta_node_close(v->m, g);
    return f;
}

struct chunk_call {
    meta_ino ino;
    uint32_t indx;
    struct meta_slice *list;
    size_t count;
};

static int chunk_txn(struct meta *m, struct meta_txn *t, void *arg)
{
    (void)m;
    struct chunk_call *c = arg;
    return meta_chunk_list(t, c->ino, c->indx, false, &c->list, &c->count);
}

static uint64_t number(const struct json *object, const char *name)
{
    const struct json *member = json_member(object, name);
    uint64_t n = 0;
    return member && str_parse_u64(member->text, &n) ? n : 0;
}

/* The records of a chunk in the dump are those that we stored. */
static void compare_chunk(struct meta *m, meta_ino ino, const struct json *chunk)
{
    struct chunk_call c = {.ino = ino, .indx = (uint32_t)number(chunk, "index")};
    const struct json *slices = json_member(chunk, "slices");
    assert_int_equal(meta_transact(m, META_TXN_READ, chunk_txn, &c), 0);
    assert_non_null(slices);
    assert_int_equal(slices->count, c.count);
    size_t i = 0;
    for (const struct json *s = slices->first; s; s = s->next, i++) {
        assert_int_equal(number(s, "pos"), c.list[i].pos);
        assert_int_equal(number(s, "id"), c.list[i].id);
        assert_int_equal(number(s, "size"), c.list[i].size);
        assert_int_equal(number(s, "off"), c.list[i].off);
        assert_int_equal(number(s, "len"), c.list[i].len);
    }
    free(c.list);
}

static void compare_dump(struct meta *m, meta_ino f)
{
    struct arena *arena = arena_new();
    struct buf error = buf_make(1000), text = buf_make(OUTPUT_MAX);
    struct buf done = run("dump sqlite3://meta.db dump.json");
    FILE *file;
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s/dump.json", dir);
    file = fopen(path, "r");
    assert_non_null(file);
    char *room = buf_reserve(&text, OUTPUT_MAX / 2);
    buf_extend(&text, fread(room, 1, OUTPUT_MAX / 2, file));
    (void)fclose(file);
    const struct json *dump = json_parse(buf_str(&text), OUTPUT_MAX, 100, arena, &error);
    if (!dump)
        fail_msg("%s", buf_z(&error));
    const struct json *entries = json_member(json_member(dump, "FSTree"), "entries");
    const struct json *entry = json_member(entries, "f"), *chunks = json_member(entry, "chunks");
    assert_int_equal(number(json_member(entry, "attr"), "inode"), f);
    assert_int_equal(number(json_member(entry, "attr"), "length"), 130 * MIB);
    assert_non_null(chunks);
    assert_true(chunks->count >= 2);
    for (const struct json *chunk = chunks->first; chunk; chunk = chunk->next)
        compare_chunk(m, f, chunk);
    buf_done(&done);
    buf_done(&text);
    buf_done(&error);
    arena_free(arena);
}

static int begin(void **state)
{
    (void)state;
    client = getenv("SLUICE_JUICEFS");
    if (!client)
        client = TEST_JUICEFS;
    if (access(client, X_OK) != 0)
        return 0;
    assert_int_equal(setenv("JFS_GC_SKIPPEDTIME", "0", 1), 0); /* else gc looks at nothing younger than an hour */
    assert_true(tmpdir_make(dir));
    (void)snprintf(url, sizeof(url), "sqlite3://%s/meta.db", dir);
    (void)snprintf(bucket, sizeof(bucket), "%s/data", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (dir[0])
        assert_true(tmpdir_remove(dir));
    dir[0] = '\0';
    return 0;
}

/* Seen in the test's report: the client is built by tests/juicefs-client. */
static void need_client(void)
{
    if (!dir[0]) {
        print_message("no official client at %s\n", client);
        skip();
    }
}

static void format_ours(const char *compression)
{
    struct jfs_format f = jfs_format_defaults();
    struct buf out = buf_make(100000), error = buf_make(1000);
    f.url = str_z(url);
    f.name = STR("vol");
    f.bucket = str_z(bucket);
    f.compression = str_z(compression);
    f.secret_key = STR("secret");
    if (jfs_format(&f, &out, &error) < 0)
        fail_msg("%s", buf_z(&error));
    buf_done(&out);
    buf_done(&error);
}

static struct buf our_status(void)
{
    struct buf out = buf_make(OUTPUT_MAX), error = buf_make(1000);
    if (jfs_status(str_z(url), &out, &error) < 0)
        fail_msg("%s", buf_z(&error));
    buf_done(&error);
    return out;
}

static void compare_status(void)
{
    struct buf ours = our_status(), theirs = run("status sqlite3://meta.db");
    ptrdiff_t at = str_find(buf_str(&theirs), STR("{\n")); /* log lines before */
    assert_true(at >= 0);
    assert_string_equal(buf_z(&ours), buf_z(&theirs) + at);
    buf_done(&ours);
    buf_done(&theirs);
}

static void test_our_volume(void **state)
{
    (void)state;
    need_client();
    format_ours("none");
    compare_status();
    struct volume v = open_volume();
    meta_ino f = fill(&v);
    compare_dump(v.m, f);
    close_volume(&v);
    compare_status();
    struct buf out = run("fsck sqlite3://meta.db --path / --recursive --sync-dir-stat");
    assert_false(says(&out, "ERROR") || says(&out, "broken") || says(&out, "should be"));
    buf_done(&out);
    out = run("fsck sqlite3://meta.db"); /* every block of every slice */
    buf_done(&out);
    out = run("gc sqlite3://meta.db");
    assert_true(says(&out, " 0 skipped") && says(&out, " 0 leaked") && !says(&out, " 0 valid"));
    buf_done(&out);
}

/* Its client reads our dump into a new database; both databases are then one volume to us. */
static void test_dump_and_load(void **state)
{
    (void)state;
    need_client();
    struct meta_summary before, after;
    format_ours("lz4");
    struct volume v = open_volume();
    (void)fill(&v);
    assert_int_equal(meta_summary(v.m, META_ROOT, &before), 0);
    close_volume(&v);
    struct buf out = run("dump sqlite3://meta.db dump.json --keep-secret-key");
    buf_done(&out);
    out = run("load sqlite3://loaded.db dump.json");
    buf_done(&out);
    (void)snprintf(url, sizeof(url), "sqlite3://%s/loaded.db", dir);
    v = open_volume();
    assert_int_equal(meta_summary(v.m, META_ROOT, &after), 0);
    assert_true(before.files == after.files && before.directories == after.directories && before.length == after.length &&
                before.space == after.space);
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(v.m);
    assert_str(s->secret_key, "secret");
    close_volume(&v);
}

static void test_their_volume(void **state)
{
    (void)state;
    need_client();
    struct buf out = run("format sqlite3://meta.db vol --bucket data --secret-key secret --capacity 1 --trash-days 0");
    buf_done(&out);
    compare_status();
    struct volume v = open_volume();
    CLEANUP(meta_settings_freep) struct meta_settings *s = meta_settings_copy(v.m);
    assert_str(s->secret_key, "secret");
    (void)fill(&v);
    out = run("status sqlite3://meta.db");
    assert_true(says(&out, "+sluice"));
    buf_done(&out);
    close_volume(&v);
    out = run("fsck sqlite3://meta.db --path / --recursive --sync-dir-stat");
    assert_false(says(&out, "ERROR") || says(&out, "broken") || says(&out, "should be"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_our_volume, begin, end),
        cmocka_unit_test_setup_teardown(test_dump_and_load, begin, end),
        cmocka_unit_test_setup_teardown(test_their_volume, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
