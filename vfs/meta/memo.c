#include "vfs/meta/memo.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"

#define STRIPES 64

struct entry {
    struct meta_stamp stamp;
    struct meta_memo_key key; /* its text is behind the struct */
    struct meta_memo_answer answer;
    size_t bytes_len; /* behind the text */
    char memory[];
};

/* Each key has one place, which the last that was kept there has. */
struct meta_memo {
    struct mutex locks[STRIPES]; /* of places by their number; leaves */
    struct entry *places[LIMIT_META_MEMO];
};

struct meta_memo *meta_memo_new(void)
{
    struct meta_memo *memo = calloc(1, sizeof(*memo));
    CHECK(memo != NULL); /* out of memory */
    for (size_t i = 0; i < STRIPES; i++)
        mutex_init(&memo->locks[i]);
    return memo;
}

void meta_memo_free(struct meta_memo *memo)
{
    for (size_t i = 0; i < LIMIT_META_MEMO; i++)
        free(memo->places[i]);
    for (size_t i = 0; i < STRIPES; i++)
        mutex_done(&memo->locks[i]);
    free(memo);
}

static size_t place_of(const struct meta_memo_key *key)
{
    /* Inode numbers are foreign, names more so: nobody shall choose who shares a place. */
    const uint64_t plain[] = {key->kind, key->ino, key->text.len > 0 ? hash_bytes(key->text) : 0};
    return hash_bytes(str_of((const char *)plain, sizeof(plain))) % LIMIT_META_MEMO;
}

static bool is_key(const struct meta_memo_key *a, const struct meta_memo_key *b)
{
    return a->kind == b->kind && a->ino == b->ino && str_eq(a->text, b->text);
}

struct meta_stamp meta_stamp(struct meta *m)
{
    struct meta_stamp s = {.known = false};
    s.known = m->engine->ops->stamp && !m->lost && m->engine->ops->stamp(m->engine, &s);
    return s;
}

bool meta_memo_find(struct meta *m, const struct meta_memo_key *key, struct meta_memo_answer *out,
                    struct buf *bytes, struct meta_stamp *out_stamp)
{
    struct meta_memo *memo = m->memo;
    *out_stamp = meta_stamp(m);
    if (!out_stamp->known)
        return false;
    const size_t place = place_of(key);
    mutex_lock(&memo->locks[place % STRIPES]);
    const struct entry *e = memo->places[place];
    const bool found = e && is_key(&e->key, key) && meta_stamp_eq(&e->stamp, out_stamp);
    if (found)
        *out = e->answer;
    if (found && bytes)
        buf_add(bytes, str_of(e->memory + e->key.text.len, e->bytes_len));
    mutex_unlock(&memo->locks[place % STRIPES]);
    return found;
}

static bool is_lasting(int rc)
{
    return rc == 0 || rc == -ENOENT || rc == -ENODATA || rc == -ENOTDIR;
}

static struct entry *entry_new(const struct meta_memo_key *key, const struct meta_memo_answer *answer, struct str bytes,
                               const struct meta_stamp *stamp)
{
    struct entry *e = malloc(sizeof(*e) + key->text.len + bytes.len);
    CHECK(e != NULL); /* out of memory */
    *e = (struct entry){.stamp = *stamp, .key = *key, .answer = *answer, .bytes_len = bytes.len};
    if (key->text.len > 0)
        memcpy(e->memory, key->text.ptr, key->text.len);
    if (bytes.len > 0)
        memcpy(e->memory + key->text.len, bytes.ptr, bytes.len);
    e->key.text = (struct str){e->memory, key->text.len};
    return e;
}

void meta_memo_keep(struct meta *m, const struct meta_memo_key *key, const struct meta_memo_answer *answer,
                    struct str bytes, const struct meta_stamp *stamp)
{
    if (!stamp->known || !is_lasting(answer->rc) || key->text.len + bytes.len > LIMIT_META_MEMO_BYTES)
        return;
    struct meta_memo *memo = m->memo;
    struct entry *e = entry_new(key, answer, bytes, stamp);
    const size_t place = place_of(key);
    mutex_lock(&memo->locks[place % STRIPES]);
    struct entry *old = memo->places[place];
    memo->places[place] = e;
    mutex_unlock(&memo->locks[place % STRIPES]);
    free(old);
}
