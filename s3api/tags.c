#include "s3api/tags.h"

#include <errno.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/limits.h"
#include "s3api/xml.h"

/* Letters and digits of any script, blanks, and a few signs. Which code points beyond ASCII are letters is left open. */
static bool is_tag_text(struct str s, size_t chars_max)
{
    size_t chars = 0;
    for (size_t i = 0; i < s.len; chars++) {
        char c = s.ptr[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!(c & 0x80) && !alphanumeric && (c == '\0' || !strchr(" +-=._:/@", c)))
            return false;
        size_t size = str_utf8_len(str_from(s, i));
        if (size == 0)
            return false;
        i += size;
    }
    return chars <= chars_max;
}

static int compare_names(const void *a, const void *b)
{
    return str_cmp(((const struct s3_pair *)a)->name, ((const struct s3_pair *)b)->name);
}

/* Tags are a set: it is kept in the order of its keys, however it was sent. */
static enum s3_error check_tags(struct s3_op *op, struct s3_pairs *tags, size_t tags_max)
{
    if (tags->count > tags_max)
        return s3_fail(op, S3_INVALID_TAG, "A tag set cannot have more than %zu tags", tags_max);
    if (tags->count > 0)
        qsort(tags->items, tags->count, sizeof(*tags->items), compare_names);
    for (size_t i = 0; i < tags->count; i++) {
        const struct s3_pair *t = &tags->items[i];
        if (t->name.len == 0 || !is_tag_text(t->name, LIMIT_TAG_KEY_CHARS))
            return s3_fail(op, S3_INVALID_TAG, "The TagKey you have provided is invalid");
        if (!is_tag_text(t->value, LIMIT_TAG_VALUE_CHARS))
            return s3_fail(op, S3_INVALID_TAG, "The TagValue you have provided is invalid");
        if (str_starts_nocase(t->name, STR("aws:")))
            return s3_fail(op, S3_INVALID_TAG, "System tags cannot be added/updated by requester");
        if (i > 0 && str_eq(t->name, tags->items[i - 1].name))
            return s3_fail(op, S3_INVALID_TAG, "Cannot provide multiple Tags with the same key");
    }
    return S3_OK;
}

static bool decode_into(struct arena *arena, struct str encoded, struct str *out)
{
    CLEANUP(buf_done) struct buf decoded = buf_make(LIMIT_HEAD_BYTES);
    if (!uri_decode(encoded, true, &decoded))
        return false;
    *out = arena_dup(arena, buf_str(&decoded));
    return true;
}

int s3_tags_split_query(struct str text, size_t tags_max, struct arena *arena, struct s3_pairs *out)
{
    struct s3_pairs tags = {.items = arena_array_of(arena, struct s3_pair, tags_max)};
    struct str token;
    while (str_split(&text, '&', &token)) {
        if (token.len == 0)
            continue;
        if (tags.count == tags_max)
            return -E2BIG;
        struct s3_pair *t = &tags.items[tags.count++];
        ptrdiff_t equals = str_find_char(token, '=');
        struct str name = equals < 0 ? token : str_first(token, (size_t)equals);
        struct str value = equals < 0 ? STR("") : str_from(token, (size_t)equals + 1);
        if (!decode_into(arena, name, &t->name) || !decode_into(arena, value, &t->value))
            return -EINVAL;
    }
    *out = tags;
    return 0;
}

void s3_tags_write_query(const struct s3_pairs *tags, struct buf *out)
{
    for (size_t i = 0; i < tags->count; i++) {
        buf_addz(out, i > 0 ? "&" : "");
        buf_add_uri(out, tags->items[i].name, false);
        buf_addc(out, '=');
        buf_add_uri(out, tags->items[i].value, false);
    }
}

enum s3_error s3_tags_parse_query(struct s3_op *op, struct str text, size_t tags_max, struct s3_pairs *out)
{
    struct s3_pairs tags;
    int rc = s3_tags_split_query(text, tags_max, op->arena, &tags);
    if (rc == -E2BIG)
        return s3_fail(op, S3_INVALID_TAG, "A tag set cannot have more than %zu tags", tags_max);
    if (rc < 0)
        return s3_fail(op, S3_INVALID_ARGUMENT,
                       "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
                       "without tag name duplicates.");
    enum s3_error e = check_tags(op, &tags, tags_max);
    if (e == S3_OK)
        *out = tags;
    return e;
}

enum s3_error s3_tags_read_set(struct s3_op *op, const struct xml_node *set, size_t tags_max, struct s3_pairs *out)
{
    size_t count = xml_child_count(set, "Tag");
    struct s3_pairs tags = {.items = count ? arena_array_of(op->arena, struct s3_pair, count) : NULL};
    for (const struct xml_node *n = set->first_child; n; n = n->next) {
        const struct xml_node *key = xml_child(n, "Key"), *value = xml_child(n, "Value");
        if (!str_is(n->name, "Tag") || !key || !value)
            return S3_MALFORMED_XML;
        tags.items[tags.count++] = (struct s3_pair){key->text, value->text};
    }
    enum s3_error e = check_tags(op, &tags, tags_max);
    if (e == S3_OK)
        *out = tags;
    return e;
}

enum s3_error s3_tags_parse_xml(struct s3_op *op, struct str document, size_t tags_max, struct s3_pairs *out)
{
    const struct xml_node *root = xml_parse(document, op->arena);
    const struct xml_node *set = xml_child(root, "TagSet");
    if (!set || !str_is(root->name, "Tagging"))
        return S3_MALFORMED_XML;
    return s3_tags_read_set(op, set, tags_max, out);
}

void s3_tags_write_xml(struct s3_op *op, const struct s3_pairs *tags)
{
    struct buf *b = &op->out;
    xml_begin(b);
    xml_open_ns(b, "Tagging");
    xml_open(b, "TagSet");
    for (size_t i = 0; i < tags->count; i++) {
        xml_open(b, "Tag");
        xml_text(b, "Key", tags->items[i].name);
        xml_text(b, "Value", tags->items[i].value);
        xml_close(b, "Tag");
    }
    xml_close(b, "TagSet");
    xml_close(b, "Tagging");
}
