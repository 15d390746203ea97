#include "tests/support/unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "auth/store.h"
#include "base/buf.h"
#include "base/fd.h"
#include "tests/support/state_dir.h"

struct fixture {
    struct state_dir dir;
    struct auth_store *store;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    unsetenv("SLUICE_MASTER_KEY");
    state_dir_init(&f->dir);
    f->arena = arena_new();
    *state = f;
    return auth_store_open(f->dir.path, &f->store);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unsetenv("SLUICE_MASTER_KEY");
    auth_store_close(f->store);
    arena_free(f->arena);
    state_dir_done(&f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    auth_store_close(f->store);
    f->store = NULL;
    assert_int_equal(auth_store_open(f->dir.path, &f->store), 0);
}

static struct auth_snapshot *load(struct fixture *f)
{
    struct auth_snapshot *s = NULL;
    assert_int_equal(auth_store_load(f->store, &s), 0);
    return s;
}

static void add_user(struct fixture *f, const char *name)
{
    struct auth_user_spec spec = {.name = str_z(name)};
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
}

static void add_key(struct fixture *f, const char *user, const char *access_key, const char *secret)
{
    struct str out_key, out_secret;
    assert_int_equal(
        auth_store_key_add(f->store, str_z(user), str_z(access_key), str_z(secret), f->arena, &out_key, &out_secret),
        0);
    assert_str(out_key, access_key);
    assert_str(out_secret, secret);
}

static uint64_t version(struct fixture *f)
{
    uint64_t value = 0;
    assert_int_equal(auth_store_version(f->store, &value), 0);
    return value;
}

/* Does a file of the state folder have these bytes? */
static bool file_has(struct fixture *f, const char *name, struct str needle)
{
    char path[96];
    struct buf content = buf_make(16 * 1024 * 1024);
    snprintf(path, sizeof(path), "%s/%s", f->dir.path, name);
    bool found = fd_read_file(AT_FDCWD, path, &content) == 0 && str_find(buf_str(&content), needle) >= 0;
    buf_done(&content);
    return found;
}

static unsigned mode_of(struct fixture *f, const char *name)
{
    char path[96];
    struct stat st;
    snprintf(path, sizeof(path), "%s%s", f->dir.path, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static const struct str some_buckets[] = {STR_INIT("two"), STR_INIT("one"), STR_INIT("two")};
static const uint32_t some_groups[] = {20, 10, 4294967294};

static struct auth_user_spec full_spec(void)
{
    return (struct auth_user_spec){
        .name = STR("ann"),
        .id = STR("ann-id"),
        .display_name = STR("Ann \xc3\xa9"),
        .email = STR("ann@example.com"),
        .read_only = true,
        .buckets = some_buckets,
        .bucket_count = ARRAY_SIZE(some_buckets),
        .posix = {.set = true, .uid = 4294967294, .gid = 0, .groups = some_groups, .group_count = 3},
    };
}

/* Users */

static void check_full_user(const struct auth_user *u)
{
    assert_str(u->name, "ann");
    assert_str(u->id, "ann-id");
    assert_str(u->display_name, "Ann \xc3\xa9");
    assert_str(u->email, "ann@example.com");
    assert_false(u->admin);
    assert_true(u->read_only);
    assert_int_equal(u->bucket_count, 2);
    assert_str(u->buckets[0], "one");
    assert_str(u->buckets[1], "two");
    assert_true(u->posix.set);
    assert_int_equal(u->posix.uid, 4294967294);
    assert_int_equal(u->posix.gid, 0);
    assert_int_equal(u->posix.group_count, 3);
    assert_int_equal(u->posix.groups[0], 10);
    assert_int_equal(u->posix.groups[2], 4294967294);
}

static void test_user_round_trip(void **state)
{
    struct fixture *f = *state;
    struct auth_user_spec spec = full_spec(), plain = {.name = STR("ben"), .admin = true};
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
    assert_int_equal(auth_store_user_add(f->store, &plain), 0);
    reopen(f);
    struct auth_snapshot *s = load(f);
    check_full_user(auth_snapshot_user_by_id(s, STR("ann-id")));
    const struct auth_user *ben = auth_snapshot_user(s, STR("ben"));
    assert_str(ben->display_name, "ben");
    assert_int_equal(ben->id.len, 64);
    assert_int_equal(ben->email.len, 0);
    assert_int_equal(ben->bucket_count, 0);
    assert_false(ben->posix.set);
    assert_ptr_equal(auth_snapshot_default_owner(s), ben);
    auth_snapshot_unref(s);
}

static void test_user_update(void **state)
{
    struct fixture *f = *state;
    struct auth_user_spec spec = full_spec();
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
    spec = (struct auth_user_spec){.name = STR("ann"), .id = STR("ignored"), .admin = true};
    assert_int_equal(auth_store_user_update(f->store, &spec), 0);
    struct auth_snapshot *s = load(f);
    const struct auth_user *ann = auth_snapshot_user(s, STR("ann"));
    assert_str(ann->id, "ann-id");
    assert_str(ann->display_name, "ann");
    assert_int_equal(ann->email.len, 0);
    assert_true(ann->admin);
    assert_false(ann->read_only);
    assert_int_equal(ann->bucket_count, 0);
    assert_false(ann->posix.set);
    assert_int_equal(ann->posix.group_count, 0);
    auth_snapshot_unref(s);
    spec = full_spec();
    assert_int_equal(auth_store_user_update(f->store, &spec), 0);
    s = load(f);
    check_full_user(auth_snapshot_user(s, STR("ann")));
    auth_snapshot_unref(s);
    spec.name = STR("nobody");
    assert_int_equal(auth_store_user_update(f->store, &spec), -ENOENT);
    assert_string_equal(auth_store_error(f->store), "there is no user nobody");
}

static void test_taken(void **state)
{
    struct fixture *f = *state;
    struct auth_user_spec spec = full_spec();
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
    const struct auth_user_spec taken[] = {
        {.name = STR("ann")},
        {.name = STR("ben"), .id = STR("ann-id")},
        {.name = STR("ben"), .email = STR("ANN@example.COM")},
    };
    uint64_t before = version(f);
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        assert_int_equal(auth_store_user_add(f->store, &taken[i]), -EEXIST);
        assert_string_equal(auth_store_error(f->store),
                            "the name, the id or the e-mail address is taken by another user");
    }
    assert_int_equal(version(f), before);
    /* Names differ by case; addresses may be absent as often as one likes. */
    add_user(f, "Ann");
    add_user(f, "ben");
}

static void test_user_remove(void **state)
{
    struct fixture *f = *state;
    struct auth_user_spec spec = full_spec();
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
    add_user(f, "ben");
    add_key(f, "ann", "AK1", "secret-1");
    add_key(f, "ben", "AK2", "secret-2");
    assert_int_equal(auth_store_user_remove(f->store, STR("ann")), 0);
    assert_int_equal(auth_store_user_remove(f->store, STR("ann")), -ENOENT);
    assert_string_equal(auth_store_error(f->store), "there is no user ann");
    struct auth_snapshot *s = load(f);
    assert_null(auth_snapshot_user(s, STR("ann")));
    assert_null(auth_snapshot_find(s, STR("AK1")));
    assert_non_null(auth_snapshot_find(s, STR("AK2")));
    auth_snapshot_unref(s);
    /* Nothing of the old one comes back with a new one of that name. */
    add_user(f, "ann");
    s = load(f);
    assert_int_equal(auth_snapshot_user(s, STR("ann"))->bucket_count, 0);
    auth_snapshot_unref(s);
}

static void test_bad_users(void **state)
{
    struct fixture *f = *state;
    static const struct str slash[] = {STR_INIT("a/b")}, dots[] = {STR_INIT("..")}, nothing[] = {STR_INIT("")};
    static const uint32_t nobody[] = {UINT32_MAX};
    const struct auth_user_spec bad[] = {
        {.name = STR("")},
        {.name = STR("a b")},
        {.name = STR("a/b")},
        {.name = STR("root")},
        {.name = STR("12345678901234567890123456789012345678901234567890123456789012345")},
        {.name = STR("a"), .id = STR("a b")},
        {.name = STR("a"), .display_name = STR("a\nb")},
        {.name = STR("a"), .display_name = STR("\xff")},
        {.name = STR("a"), .email = STR("example.com")},
        {.name = STR("a"), .email = STR("a@b c")},
        {.name = STR("a"), .buckets = slash, .bucket_count = 1},
        {.name = STR("a"), .buckets = dots, .bucket_count = 1},
        {.name = STR("a"), .buckets = nothing, .bucket_count = 1},
        {.name = STR("a"), .posix = {.set = true, .uid = UINT32_MAX}},
        {.name = STR("a"), .posix = {.set = true, .gid = UINT32_MAX}},
        {.name = STR("a"), .posix = {.set = true, .groups = nobody, .group_count = 1}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(auth_store_user_add(f->store, &bad[i]), -EINVAL);
        assert_int_equal(auth_store_user_update(f->store, &bad[i]), -EINVAL);
        assert_true(strlen(auth_store_error(f->store)) > 10);
    }
}

/* Keys */

static void test_key_round_trip(void **state)
{
    struct fixture *f = *state;
    add_user(f, "ann");
    add_key(f, "ann", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    reopen(f);
    struct auth_snapshot *s = load(f);
    const struct auth_key *key = auth_snapshot_find(s, STR("AKIAIOSFODNN7EXAMPLE"));
    assert_str(key->secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    assert_str(key->user->name, "ann");
    assert_true(key->enabled);
    auth_snapshot_unref(s);

    assert_int_equal(auth_store_key_enable(f->store, STR("AKIAIOSFODNN7EXAMPLE"), false), 0);
    s = load(f);
    assert_false(auth_snapshot_find(s, STR("AKIAIOSFODNN7EXAMPLE"))->enabled);
    auth_snapshot_unref(s);
    assert_int_equal(auth_store_key_enable(f->store, STR("AKIAIOSFODNN7EXAMPLE"), true), 0);
    assert_int_equal(auth_store_key_remove(f->store, STR("AKIAIOSFODNN7EXAMPLE")), 0);
    assert_int_equal(auth_store_key_remove(f->store, STR("AKIAIOSFODNN7EXAMPLE")), -ENOENT);
    assert_int_equal(auth_store_key_enable(f->store, STR("AKIAIOSFODNN7EXAMPLE"), true), -ENOENT);
    assert_string_equal(auth_store_error(f->store), "there is no access key AKIAIOSFODNN7EXAMPLE");
}

static void test_generated_keys(void **state)
{
    struct fixture *f = *state;
    struct str key, secret, other_key, other_secret;
    add_user(f, "ann");
    assert_int_equal(auth_store_key_add(f->store, STR("ann"), STR_EMPTY, STR_EMPTY, f->arena, &key, &secret), 0);
    assert_int_equal(
        auth_store_key_add(f->store, STR("ann"), STR_EMPTY, STR_EMPTY, f->arena, &other_key, &other_secret), 0);
    assert_int_equal(key.len, 20);
    assert_true(str_starts(key, STR("SL")));
    assert_int_equal(strspn(key.ptr, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 20);
    assert_int_equal(secret.len, 40);
    assert_false(str_eq(key, other_key));
    assert_false(str_eq(secret, other_secret));
    struct auth_snapshot *s = load(f);
    assert_true(str_eq(auth_snapshot_find(s, key)->secret, secret));
    auth_snapshot_unref(s);
}

static void test_bad_keys(void **state)
{
    struct fixture *f = *state;
    static char long_text[130];
    memset(long_text, 'x', 129);
    const struct {
        const char *user, *access_key, *secret;
        int error;
    } rows[] = {
        {"ann", "AK", "secret-1", -EINVAL},
        {"ann", "A/K", "secret-1", -EINVAL},
        {"ann", "A,K", "secret-1", -EINVAL},
        {"ann", "A K", "secret-1", -EINVAL},
        {"ann", long_text, "secret-1", -EINVAL},
        {"ann", "AK1", "secret7", -EINVAL},
        {"ann", "AK1", long_text, -EINVAL},
        {"ann", "AK1", "secret 12", -EINVAL},
        {"ann", "AK1",
         "s\xc3\xa9"
         "cret-1",
         -EINVAL},
        {"ann", "TAKEN", "secret-1", -EEXIST},
        {"nobody", "AK1", "secret-1", -ENOENT},
        {"' OR 1=1 --", "AK1", "secret-1", -ENOENT},
    };
    add_user(f, "ann");
    add_key(f, "ann", "TAKEN", "secret-0");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str key = STR("unchanged"), secret = STR("unchanged");
        assert_int_equal(auth_store_key_add(f->store, str_z(rows[i].user), str_z(rows[i].access_key),
                                            str_z(rows[i].secret), f->arena, &key, &secret),
                         rows[i].error);
        assert_str(key, "unchanged");
        assert_str(secret, "unchanged");
        assert_true(strlen(auth_store_error(f->store)) > 10);
    }
}

/* At rest */

static void test_sealed_at_rest(void **state)
{
    struct fixture *f = *state;
    add_user(f, "ann");
    add_key(f, "ann", "AKVISIBLE", "secret-not-visible");
    assert_true(file_has(f, "identities.db", STR("AKVISIBLE")) || file_has(f, "identities.db-wal", STR("AKVISIBLE")));
    assert_false(file_has(f, "identities.db-wal", STR("secret-not-visible")));
    reopen(f); /* the last close moves the log into the database */
    assert_true(file_has(f, "identities.db", STR("AKVISIBLE")));
    assert_false(file_has(f, "identities.db", STR("secret-not-visible")));
}

/* The access key is the context of its secret's seal: a secret moved to another row does not open. */
static void test_secret_is_bound_to_its_key(void **state)
{
    struct fixture *f = *state;
    struct auth_snapshot *s = NULL;
    add_user(f, "ann");
    add_key(f, "ann", "AK1", "secret-1");
    add_key(f, "ann", "AK2", "secret-2");
    state_dir_sql(&f->dir, "UPDATE access_keys SET sealed_secret ="
                           " (SELECT sealed_secret FROM access_keys WHERE access_key = 'AK1')");
    assert_int_equal(auth_store_load(f->store, &s), -EKEYREJECTED);
    assert_null(s);
    assert_string_equal(auth_store_error(f->store), "the master key does not open the secret of AK2: remove that key");
    assert_int_equal(auth_store_key_remove(f->store, STR("AK2")), 0);
    auth_snapshot_unref(load(f));
}

static void test_modes(void **state)
{
    struct fixture *f = *state;
    add_user(f, "ann");
    assert_int_equal(mode_of(f, ""), 0700);
    assert_int_equal(mode_of(f, "/master.key"), 0600);
    assert_int_equal(mode_of(f, "/identities.db"), 0600);
    assert_int_equal(mode_of(f, "/identities.db-wal"), 0600);
    assert_int_equal(mode_of(f, "/identities.db-shm"), 0600);
}

/* The master key */

static void write_master_key(struct fixture *f, const char *text)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/master.key", f->dir.path);
    assert_int_equal(fd_write_file_atomic(AT_FDCWD, path, str_z(text), 0600), 0);
}

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define WRONG_KEY                                                                                                      \
    "the master key does not open the identity store: restore the master.key (or SLUICE_MASTER_KEY) that "             \
    "it was made with"

static void assert_does_not_open(struct fixture *f, int error, const char *text)
{
    struct auth_store *store = NULL;
    assert_int_equal(auth_store_open(f->dir.path, &store), error);
    assert_null(store);
    assert_string_equal(auth_store_error(NULL), text);
}

static void test_wrong_master_key(void **state)
{
    struct fixture *f = *state;
    setenv("SLUICE_MASTER_KEY", KEY_A, 1);
    assert_does_not_open(f, -EKEYREJECTED, WRONG_KEY);
    setenv("SLUICE_MASTER_KEY", "0001", 1);
    assert_does_not_open(f, -EINVAL, "SLUICE_MASTER_KEY is not 64 hex digits");
    setenv("SLUICE_MASTER_KEY", "", 1);
    reopen(f);
    write_master_key(f, KEY_A "\n");
    assert_does_not_open(f, -EKEYREJECTED, WRONG_KEY);
    write_master_key(f, "not a key\n");
    assert_does_not_open(f, -EINVAL, "master.key is not 64 hex digits");
}

static void test_lost_master_key(void **state)
{
    struct fixture *f = *state;
    char path[96];
    snprintf(path, sizeof(path), "%s/master.key", f->dir.path);
    assert_int_equal(unlink(path), 0);
    assert_does_not_open(
        f, -ENOKEY,
        "the identity store is there but its master.key is not: restore that file, or set SLUICE_MASTER_KEY");
    assert_int_equal(access(path, F_OK), -1);
}

static void test_open_master_key(void **state)
{
    struct fixture *f = *state;
    char path[96];
    snprintf(path, sizeof(path), "%s/master.key", f->dir.path);
    assert_int_equal(chmod(path, 0604), 0);
    assert_does_not_open(f, -EPERM, "master.key can be read by everybody: chmod 600 it");
    assert_int_equal(chmod(path, 0440), 0);
    reopen(f);
}

static void test_master_key_from_environment(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {.arena = f->arena};
    state_dir_init(&other.dir);
    setenv("SLUICE_MASTER_KEY", KEY_A, 1);
    assert_int_equal(auth_store_open(other.dir.path, &other.store), 0);
    add_user(&other, "ann");
    add_key(&other, "ann", "AK1", "secret-1");
    reopen(&other);
    auth_snapshot_unref(load(&other));
    auth_store_close(other.store);
    unsetenv("SLUICE_MASTER_KEY");
    assert_does_not_open(
        &other, -ENOKEY,
        "the identity store is there but its master.key is not: restore that file, or set SLUICE_MASTER_KEY");
    write_master_key(&other, KEY_A "\n");
    assert_int_equal(auth_store_open(other.dir.path, &other.store), 0);
    auth_store_close(other.store);
    state_dir_done(&other.dir);
}

static void test_no_folder(void **state)
{
    struct fixture *f = *state;
    struct auth_store *store;
    char path[96];
    snprintf(path, sizeof(path), "%s/identities.db/x", f->dir.path);
    assert_int_equal(auth_store_open(path, &store), -ENOTDIR);
    assert_true(str_starts(str_z(auth_store_error(NULL)), STR("cannot make the folder ")));
    snprintf(path, sizeof(path), "%s/identities.db", f->dir.path);
    assert_int_equal(auth_store_open(path, &store), -ENOTDIR);
}

/* A file of a later version, one without its key check, and one that is no database. */
static void test_foreign_database(void **state)
{
    struct fixture *f = *state;
    char path[96];
    snprintf(path, sizeof(path), "%s/identities.db", f->dir.path);
    state_dir_sql(&f->dir, "PRAGMA user_version = 3");
    assert_does_not_open(f, -ENOTSUP, "the identity store has version 3, this sluice knows 2: upgrade it");
    state_dir_sql(&f->dir, "PRAGMA user_version = 2; DELETE FROM meta WHERE name = 'key_check'");
    assert_does_not_open(f, -EKEYREJECTED, WRONG_KEY);
    auth_store_close(f->store);
    f->store = NULL;
    assert_int_equal(fd_write_file_atomic(AT_FDCWD, path, STR("this is no database, however long it may be"), 0600), 0);
    assert_int_equal(auth_store_open(f->dir.path, &f->store), -EUCLEAN);
    assert_null(f->store);
}

/* A store of the first version, from before policies. */
static void test_upgrade(void **state)
{
    struct fixture *f = *state;
    struct auth_user_row *rows;
    size_t count;
    const struct auth_user_spec spec = {.name = STR("ann")};
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
    auth_store_close(f->store);
    state_dir_sql(&f->dir, "DROP TABLE group_policies; DROP TABLE group_members; DROP TABLE policy_groups;"
                           "DROP TABLE user_policies; DROP TABLE policies; PRAGMA user_version = 1");
    assert_int_equal(auth_store_open(f->dir.path, &f->store), 0);
    assert_int_equal(auth_store_list(f->store, f->arena, &rows, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_USER, STR("ann"), STR("readonly")), 0);
}

/* Policies and groups */

#define DOCUMENT "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"*\"}}"

static size_t policies_of(struct fixture *f, const char *user)
{
    struct auth_snapshot *s = NULL;
    assert_int_equal(auth_store_load(f->store, &s), 0);
    size_t count = auth_snapshot_user(s, str_z(user))->policy_count;
    auth_snapshot_unref(s);
    return count;
}

static void test_policy_documents(void **state)
{
    struct fixture *f = *state;
    struct str document;
    assert_int_equal(auth_store_policy_get(f->store, STR("mine"), f->arena, &document), -ENOENT);
    assert_int_equal(auth_store_policy_put(f->store, STR("mine"), STR(DOCUMENT)), 0);
    assert_int_equal(auth_store_policy_get(f->store, STR("mine"), f->arena, &document), 0);
    assert_str(document, DOCUMENT);
    assert_int_equal(auth_store_policy_put(f->store, STR("readonly"), STR(DOCUMENT)), -EEXIST);
    assert_int_equal(auth_store_policy_put(f->store, STR("a b"), STR(DOCUMENT)), -EINVAL);
    assert_int_equal(auth_store_policy_put(f->store, STR("mine"), STR("{\"Statement\":[]}")), -EINVAL);
    assert_int_equal(auth_store_policy_get(f->store, STR("mine"), f->arena, &document), 0);
    assert_str(document, DOCUMENT);
    assert_int_equal(auth_store_policy_get(f->store, STR("readonly"), f->arena, &document), 0);
    assert_int_equal(auth_store_policy_remove(f->store, STR("readonly")), -EPERM);
    assert_int_equal(auth_store_policy_remove(f->store, STR("mine")), 0);
    assert_int_equal(auth_store_policy_remove(f->store, STR("mine")), -ENOENT);
}

/* One that an earlier version took, of an action that is no more: the store still loads. What cannot be evaluated is damage. */
static void test_stored_policy(void **state)
{
    struct fixture *f = *state;
    struct auth_snapshot *s = NULL;
    const struct auth_user_spec ann = {.name = STR("ann")};
    assert_int_equal(auth_store_user_add(f->store, &ann), 0);
    assert_int_equal(auth_store_policy_put(f->store, STR("mine"), STR(DOCUMENT)), 0);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_USER, STR("ann"), STR("mine")), 0);
    state_dir_sql(&f->dir, "UPDATE policies SET document = replace(document, 's3:GetObject', 's3:GetAccessPointScope')");
    assert_int_equal(policies_of(f, "ann"), 1);
    state_dir_sql(&f->dir, "UPDATE policies SET document = replace(document, 'Allow', 'Perhaps')");
    assert_int_equal(auth_store_load(f->store, &s), -EUCLEAN);
}

static void test_attaching(void **state)
{
    struct fixture *f = *state;
    const struct auth_user_spec ann = {.name = STR("ann")}, bob = {.name = STR("bob")};
    assert_int_equal(auth_store_user_add(f->store, &ann), 0);
    assert_int_equal(auth_store_user_add(f->store, &bob), 0);
    assert_int_equal(auth_store_policy_put(f->store, STR("mine"), STR(DOCUMENT)), 0);
    assert_int_equal(auth_store_group_add(f->store, STR("team")), 0);
    assert_int_equal(auth_store_group_add(f->store, STR("team")), -EEXIST);

    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_USER, STR("ann"), STR("mine")), 0);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_USER, STR("ann"), STR("mine")), 0);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_USER, STR("ann"), STR("none")), -ENOENT);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_USER, STR("eve"), STR("mine")), -ENOENT);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_GROUP, STR("team"), STR("mine")), 0);
    assert_int_equal(auth_store_attach(f->store, AUTH_STORE_GROUP, STR("team"), STR("writeonly")), 0);
    assert_int_equal(auth_store_group_join(f->store, STR("team"), STR("ann")), 0);
    assert_int_equal(auth_store_group_join(f->store, STR("team"), STR("eve")), -ENOENT);
    assert_int_equal(auth_store_group_join(f->store, STR("none"), STR("ann")), -ENOENT);
    assert_int_equal(policies_of(f, "ann"), 2); /* what user and group share counts once */
    assert_int_equal(policies_of(f, "bob"), 0);

    struct auth_policy_row *policies;
    struct auth_group_row *groups;
    size_t count;
    assert_int_equal(auth_store_policy_list(f->store, f->arena, &policies, &count), 0);
    assert_int_equal(count, 6);
    assert_str(policies[5].name, "mine");
    assert_str(policies[5].users[0], "ann");
    assert_str(policies[5].groups[0], "team");
    assert_int_equal(auth_store_group_list(f->store, f->arena, &groups, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(groups[0].policy_count, 2);
    assert_str(groups[0].members[0], "ann");

    assert_int_equal(auth_store_policy_remove(f->store, STR("mine")), -EBUSY);
    assert_int_equal(auth_store_detach(f->store, AUTH_STORE_USER, STR("ann"), STR("mine")), 0);
    assert_int_equal(auth_store_detach(f->store, AUTH_STORE_USER, STR("ann"), STR("mine")), -ENOENT);
    assert_int_equal(auth_store_group_leave(f->store, STR("team"), STR("bob")), -ENOENT);
    assert_int_equal(auth_store_group_leave(f->store, STR("team"), STR("ann")), 0);
    assert_int_equal(policies_of(f, "ann"), 0);
    assert_int_equal(auth_store_group_join(f->store, STR("team"), STR("bob")), 0);
    assert_int_equal(policies_of(f, "bob"), 2);
    assert_int_equal(auth_store_group_remove(f->store, STR("team")), 0);
    assert_int_equal(auth_store_group_remove(f->store, STR("team")), -ENOENT);
    assert_int_equal(policies_of(f, "bob"), 0);
    assert_int_equal(auth_store_policy_remove(f->store, STR("mine")), 0);
}

/* Versions, and other processes */

static void test_version_counts_changes(void **state)
{
    struct fixture *f = *state;
    uint64_t before = version(f);
    assert_int_equal(version(f), before);
    add_user(f, "ann");
    assert_int_equal(version(f), before + 1);
    add_key(f, "ann", "AK1", "secret-1");
    assert_int_equal(version(f), before + 2);
    assert_int_equal(auth_store_user_remove(f->store, STR("nobody")), -ENOENT);
    auth_snapshot_unref(load(f));
    assert_int_equal(version(f), before + 2);
}

/* In a child: adds users of its own, then leaves with 0 when all went well. */
static void add_many(const char *path, const char *prefix, int count)
{
    struct auth_store *store;
    int failures = auth_store_open(path, &store) != 0;
    for (int i = 0; i < count && failures == 0; i++) {
        char name[20];
        snprintf(name, sizeof(name), "%s%d", prefix, i);
        struct auth_user_spec spec = {.name = str_z(name)};
        failures += auth_store_user_add(store, &spec) != 0;
    }
    _exit(failures);
}

#define MANY 20

static void run_children(const char *path, int count)
{
    for (int i = 0; i < count; i++) {
        char prefix[2] = {(char)('a' + i), '\0'};
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            add_many(path, prefix, MANY);
    }
    for (int i = 0; i < count; i++) {
        int status = 1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

static void test_change_by_another_process(void **state)
{
    struct fixture *f = *state;
    uint64_t before = version(f);
    run_children(f->dir.path, 1);
    assert_int_equal(version(f), before + MANY);
    struct auth_snapshot *s = load(f);
    assert_non_null(auth_snapshot_user(s, STR("a19")));
    auth_snapshot_unref(s);
}

/* Several that come first at once: one master key, one schema, nobody's change lost. */
static void test_many_processes_at_once(void **state)
{
    (void)state;
    struct fixture f = {0};
    state_dir_init(&f.dir);
    run_children(f.dir.path, 4);
    assert_int_equal(auth_store_open(f.dir.path, &f.store), 0);
    struct auth_snapshot *s = load(&f);
    assert_int_equal(auth_snapshot_user_count(s), 4 * MANY);
    auth_snapshot_unref(s);
    auth_store_close(f.store);
    state_dir_done(&f.dir);
}

/* Two handles in one process, as the tests and a gateway that edits users would have. */
static void test_two_handles(void **state)
{
    struct fixture *f = *state;
    struct fixture second = {.dir = f->dir, .arena = f->arena};
    assert_int_equal(auth_store_open(f->dir.path, &second.store), 0);
    uint64_t before = version(f);
    add_user(&second, "ann");
    add_user(f, "ben");
    assert_int_equal(version(f), before + 2);
    assert_int_equal(version(&second), before + 2);
    auth_store_close(second.store);
    add_user(f, "cy");
}

/* Listings */

static void test_list(void **state)
{
    struct fixture *f = *state;
    struct auth_user_row *rows;
    size_t count;
    assert_int_equal(auth_store_list(f->store, f->arena, &rows, &count), 0);
    assert_int_equal(count, 0);
    struct auth_user_spec spec = full_spec();
    add_user(f, "cy");
    assert_int_equal(auth_store_user_add(f->store, &spec), 0);
    add_user(f, "ben");
    add_key(f, "cy", "AK2", "secret-2");
    add_key(f, "cy", "AK1", "secret-1");
    add_key(f, "ann", "AK3", "secret-3");
    assert_int_equal(auth_store_key_enable(f->store, STR("AK3"), false), 0);
    assert_int_equal(auth_store_list(f->store, f->arena, &rows, &count), 0);
    assert_int_equal(count, 4);
    check_full_user(&rows[0].user);
    assert_str(rows[0].access_key, "AK3");
    assert_false(rows[0].key_enabled);
    assert_int_equal(rows[0].created.len, strlen("2009-10-12T17:50:30.000Z"));
    assert_str(rows[1].user.name, "ben");
    assert_int_equal(rows[1].access_key.len, 0);
    assert_str(rows[2].user.name, "cy");
    assert_str(rows[3].user.name, "cy");
    assert_true(rows[3].key_enabled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Before this process has drawn random bytes: its children would inherit the rest of the stock, and all make
         * the same ids of it (base/random.c). */
        cmocka_unit_test(test_many_processes_at_once),
        cmocka_unit_test_setup_teardown(test_user_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_user_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_user_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generated_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed_at_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_is_bound_to_its_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_master_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_master_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_master_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_master_key_from_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_database, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy_documents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stored_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attaching, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_counts_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_by_another_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_handles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    };
    return cmocka_run_group_tests_name("auth/store", tests, NULL, NULL);
}
