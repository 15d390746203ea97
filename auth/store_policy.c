/* Policies and groups in the store. */
#include <errno.h>

#include "auth/policy.h"
#include "auth/store_check.h"
#include "auth/store_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"

#define READING "reading the identity store"
#define WRITING "writing the identity store"

/* One statement of at most two parameters: a number or a text, then a text. */
struct parameters {
    int64_t id; /* used when text is empty */
    struct str text, text2;
};

static int run(struct auth_store *s, const char *sql, const struct parameters *p)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, sql, WRITING);
    if (rc < 0)
        return rc;
    if (p->text.len > 0)
        store_query_bind_text(&q, 1, p->text);
    else
        store_query_bind_int(&q, 1, p->id);
    if (p->text2.len > 0)
        store_query_bind_text(&q, 2, p->text2);
    return store_query_run(&q);
}

/* As run, in a row that must be there. */
static int run_on_row(struct auth_store *s, const char *sql, const struct parameters *p, const char *absent, struct str name)
{
    int rc = run(s, sql, p);
    if (rc >= 0 && store_db_changes(s->db) == 0)
        return store_db_fail(s->db, -ENOENT, "%s %.*s", absent, STR_ARG(name));
    return rc;
}

static bool is_canned(struct str name)
{
    return auth_policy_canned(name).len > 0;
}

static struct str now_text(char out[CLOCK_TEXT_MAX])
{
    return clock_format_iso8601_ms(clock_wall_ns(), out);
}

/* Policies */

static int check_document(struct auth_store *s, struct str document)
{
    struct auth_policy *policy = NULL;
    CLEANUP(buf_done) struct buf error = buf_make(2 * LIMIT_POLICY_BYTES);
    if (auth_policy_parse(AUTH_POLICY_IDENTITY, document, STR_EMPTY, &policy, &error) < 0)
        return store_db_fail(s->db, -EINVAL, "%s", buf_z(&error));
    auth_policy_unref(policy);
    return 0;
}

static int write_policy(struct auth_store *s, struct str name, struct str document)
{
    char created[CLOCK_TEXT_MAX];
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db,
                              "INSERT INTO policies VALUES(?1, ?2, ?3)"
                              " ON CONFLICT(name) DO UPDATE SET document = excluded.document",
                              WRITING);
    if (rc < 0)
        return rc;
    store_query_bind_text(&q, 1, name);
    store_query_bind_text(&q, 2, document);
    store_query_bind_text(&q, 3, now_text(created));
    return store_query_run(&q);
}

int auth_store_policy_put(struct auth_store *s, struct str name, struct str document)
{
    const char *problem = auth_check_name(name);
    if (problem)
        return store_db_fail(s->db, -EINVAL, "%s", problem);
    if (is_canned(name))
        return store_db_fail(s->db, -EEXIST, "%.*s is a canned policy: choose another name", STR_ARG(name));
    int rc = check_document(s, document);
    if (rc >= 0)
        rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, write_policy(s, name, document));
}

/* Whom it is attached to, both kinds in one list. */
static int read_holders(struct auth_store *s, struct str policy, struct arena *arena, struct store_names *out)
{
    return store_read_names(s,
                            "SELECT name FROM users JOIN user_policies USING(user_id) WHERE policy = ?1"
                            " UNION ALL SELECT name FROM policy_groups JOIN group_policies USING(group_id)"
                            " WHERE policy = ?1",
                            0, policy, arena, out);
}

static int remove_policy(struct auth_store *s, struct str name)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    struct store_names holders;
    int rc = read_holders(s, name, arena, &holders);
    if (rc < 0)
        return rc;
    if (holders.count > 0)
        return store_db_fail(s->db, -EBUSY, "the policy %.*s is attached to %.*s: detach it first", STR_ARG(name),
                             STR_ARG(holders.items[0]));
    const struct parameters p = {.text = name};
    return run_on_row(s, "DELETE FROM policies WHERE name = ?1", &p, "there is no policy", name);
}

int auth_store_policy_remove(struct auth_store *s, struct str name)
{
    if (is_canned(name))
        return store_db_fail(s->db, -EPERM, "%.*s is a canned policy: it stays", STR_ARG(name));
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, remove_policy(s, name));
}

int auth_store_policy_get(struct auth_store *s, struct str name, struct arena *arena, struct str *out)
{
    struct store_names documents;
    if (is_canned(name)) {
        *out = auth_policy_canned(name);
        return 0;
    }
    int rc = store_read_names(s, "SELECT document FROM policies WHERE name = ?1", 0, name, arena, &documents);
    if (rc < 0)
        return rc;
    if (documents.count == 0)
        return store_db_fail(s->db, -ENOENT, "there is no policy %.*s", STR_ARG(name));
    *out = documents.items[0];
    return 0;
}

/* Groups */

static int find_group(struct auth_store *s, struct str name, int64_t *out)
{
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT group_id FROM policy_groups WHERE name = ?1", READING);
    if (rc < 0)
        return rc;
    store_query_bind_text(&q, 1, name);
    rc = store_query_step(&q);
    if (rc == 0)
        return store_db_fail(s->db, -ENOENT, "there is no group %.*s", STR_ARG(name));
    if (rc > 0)
        *out = store_query_int(&q, 0);
    return rc;
}

static int insert_group(struct auth_store *s, struct str name)
{
    char created[CLOCK_TEXT_MAX];
    const struct parameters p = {.text = name, .text2 = now_text(created)};
    int rc = run(s, "INSERT INTO policy_groups(name, created) VALUES(?1, ?2)", &p);
    return rc == -EEXIST ? store_db_fail(s->db, rc, "there is a group %.*s already", STR_ARG(name)) : rc;
}

int auth_store_group_add(struct auth_store *s, struct str name)
{
    const char *problem = auth_check_name(name);
    if (problem)
        return store_db_fail(s->db, -EINVAL, "%s", problem);
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, insert_group(s, name));
}

int auth_store_group_remove(struct auth_store *s, struct str name)
{
    const struct parameters p = {.text = name};
    int rc = auth_store_begin_change(s);
    if (rc < 0)
        return rc;
    rc = run_on_row(s, "DELETE FROM policy_groups WHERE name = ?1", &p, "there is no group", name);
    return auth_store_end_change(s, rc);
}

/* Members are rows of (group, user's name): the user is known to be there. */
static int change_member(struct auth_store *s, struct str group, struct str user, bool joins)
{
    int64_t group_id = 0, user_id = 0;
    int rc = find_group(s, group, &group_id);
    if (rc >= 0)
        rc = store_find_user(s, user, &user_id);
    if (rc < 0)
        return rc;
    const struct parameters p = {.id = group_id, .text2 = user};
    if (joins)
        return run(s, "INSERT OR IGNORE INTO group_members SELECT user_id, ?1 FROM users WHERE name = ?2", &p);
    return run_on_row(s,
                      "DELETE FROM group_members WHERE group_id = ?1 AND"
                      " user_id = (SELECT user_id FROM users WHERE name = ?2)",
                      &p, "the group has no member", user);
}

int auth_store_group_join(struct auth_store *s, struct str group, struct str user)
{
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, change_member(s, group, user, true));
}

int auth_store_group_leave(struct auth_store *s, struct str group, struct str user)
{
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, change_member(s, group, user, false));
}

/* Attaching */

static const struct {
    int (*find)(struct auth_store *s, struct str name, int64_t *out);
    const char *insert, *remove;
} holders[] = {
    [AUTH_STORE_USER] = {store_find_user, "INSERT OR IGNORE INTO user_policies VALUES(?1, ?2)",
                         "DELETE FROM user_policies WHERE user_id = ?1 AND policy = ?2"},
    [AUTH_STORE_GROUP] = {find_group, "INSERT OR IGNORE INTO group_policies VALUES(?1, ?2)",
                          "DELETE FROM group_policies WHERE group_id = ?1 AND policy = ?2"},
};

static int attach(struct auth_store *s, enum auth_store_holder kind, struct str holder, struct str policy)
{
    CLEANUP(arena_freep) struct arena *arena = arena_new();
    struct parameters p = {.text2 = policy};
    struct str document;
    int rc = holders[kind].find(s, holder, &p.id);
    if (rc >= 0)
        rc = auth_store_policy_get(s, policy, arena, &document);
    return rc < 0 ? rc : run(s, holders[kind].insert, &p);
}

static int detach(struct auth_store *s, enum auth_store_holder kind, struct str holder, struct str policy)
{
    struct parameters p = {.text2 = policy};
    int rc = holders[kind].find(s, holder, &p.id);
    return rc < 0 ? rc : run_on_row(s, holders[kind].remove, &p, "not attached is the policy", policy);
}

int auth_store_attach(struct auth_store *s, enum auth_store_holder kind, struct str holder, struct str policy)
{
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, attach(s, kind, holder, policy));
}

int auth_store_detach(struct auth_store *s, enum auth_store_holder kind, struct str holder, struct str policy)
{
    int rc = auth_store_begin_change(s);
    return rc < 0 ? rc : auth_store_end_change(s, detach(s, kind, holder, policy));
}

/* Loading */

static int parse_policy(struct auth_store *s, struct str name, struct arena *arena, struct auth_policy **out)
{
    struct str document;
    CLEANUP(buf_done) struct buf error = buf_make(2 * LIMIT_POLICY_BYTES);
    int rc = auth_store_policy_get(s, name, arena, &document);
    if (rc == 0 && auth_policy_read(AUTH_POLICY_IDENTITY, document, STR_EMPTY, out, &error) < 0)
        rc = store_db_fail(s->db, -EUCLEAN, "the policy %.*s is damaged: put it again (%s)", STR_ARG(name), buf_z(&error));
    return rc;
}

int store_read_policies(struct auth_store *s, int64_t user_id, struct map *parsed, struct arena *arena, struct auth_user *out)
{
    struct store_names names;
    int rc = store_read_names(s,
                              "SELECT policy FROM user_policies WHERE user_id = ?1 UNION SELECT policy FROM group_policies"
                              " JOIN group_members USING(group_id) WHERE user_id = ?1",
                              user_id, STR_EMPTY, arena, &names);
    struct auth_policy **policies = arena_array_of(arena, struct auth_policy *, names.count);
    for (size_t i = 0; rc >= 0 && i < names.count; i++) {
        policies[i] = map_get(parsed, names.items[i]);
        if (policies[i])
            continue;
        rc = parse_policy(s, names.items[i], arena, &policies[i]);
        if (rc >= 0)
            CHECK(map_set(parsed, names.items[i], policies[i]) == NULL);
    }
    if (rc < 0)
        return rc;
    out->policies = policies;
    out->policy_count = names.count;
    return 0;
}

/* Listings */

static int read_policy_row(struct auth_store *s, struct arena *arena, struct auth_policy_row *row)
{
    struct store_names users, groups;
    int rc = store_read_names(s,
                              "SELECT name FROM users JOIN user_policies USING(user_id) WHERE policy = ?1 ORDER BY name", 0,
                              row->name, arena, &users);
    if (rc >= 0)
        rc = store_read_names(s,
                              "SELECT name FROM policy_groups JOIN group_policies USING(group_id) WHERE policy = ?1"
                              " ORDER BY name",
                              0, row->name, arena, &groups);
    if (rc < 0)
        return rc;
    row->users = users.items;
    row->user_count = users.count;
    row->groups = groups.items;
    row->group_count = groups.count;
    return 0;
}

static int list_policies(struct auth_store *s, struct arena *arena, struct auth_policy_row **out, size_t *out_count)
{
    struct auth_policy_row *rows = NULL;
    size_t count = 0;
    for (struct str name; (name = auth_policy_canned_name(count)).len > 0; count++) {
        rows = store_make_room(arena, rows, count, sizeof(*rows));
        rows[count] = (struct auth_policy_row){.name = name};
    }
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT name, created FROM policies ORDER BY name", READING);
    while (rc >= 0 && (rc = store_query_step(&q)) > 0) {
        rows = store_make_room(arena, rows, count, sizeof(*rows));
        rows[count++] = (struct auth_policy_row){.name = arena_dup(arena, store_query_bytes(&q, 0)),
                                                 .created = arena_dup(arena, store_query_bytes(&q, 1))};
    }
    for (size_t i = 0; rc >= 0 && i < count; i++)
        rc = read_policy_row(s, arena, &rows[i]);
    if (rc < 0)
        return rc;
    *out = rows;
    *out_count = count;
    return 0;
}

int auth_store_policy_list(struct auth_store *s, struct arena *arena, struct auth_policy_row **out, size_t *out_count)
{
    int rc = store_begin_reading(s);
    if (rc < 0)
        return rc;
    rc = list_policies(s, arena, out, out_count);
    store_db_rollback(s->db);
    return rc;
}

static int read_group_row(struct auth_store *s, int64_t id, struct arena *arena, struct auth_group_row *row)
{
    struct store_names members, policies;
    int rc = store_read_names(s, "SELECT name FROM users JOIN group_members USING(user_id) WHERE group_id = ? ORDER BY name",
                              id, STR_EMPTY, arena, &members);
    if (rc >= 0)
        rc = store_read_names(s, "SELECT policy FROM group_policies WHERE group_id = ? ORDER BY policy", id, STR_EMPTY, arena,
                              &policies);
    if (rc < 0)
        return rc;
    row->members = members.items;
    row->member_count = members.count;
    row->policies = policies.items;
    row->policy_count = policies.count;
    return 0;
}

static int list_groups(struct auth_store *s, struct arena *arena, struct auth_group_row **out, size_t *out_count)
{
    struct auth_group_row *rows = NULL;
    size_t count = 0;
    CLEANUP(store_query_done) struct store_query q = {0};
    int rc = store_query_init(&q, s->db, "SELECT group_id, name, created FROM policy_groups ORDER BY name", READING);
    while (rc >= 0 && (rc = store_query_step(&q)) > 0) {
        rows = store_make_room(arena, rows, count, sizeof(*rows));
        rows[count] = (struct auth_group_row){.name = arena_dup(arena, store_query_bytes(&q, 1)),
                                              .created = arena_dup(arena, store_query_bytes(&q, 2))};
        rc = read_group_row(s, store_query_int(&q, 0), arena, &rows[count++]);
    }
    if (rc < 0)
        return rc;
    *out = rows;
    *out_count = count;
    return 0;
}

int auth_store_group_list(struct auth_store *s, struct arena *arena, struct auth_group_row **out, size_t *out_count)
{
    int rc = store_begin_reading(s);
    if (rc < 0)
        return rc;
    rc = list_groups(s, arena, out, out_count);
    store_db_rollback(s->db);
    return rc;
}
