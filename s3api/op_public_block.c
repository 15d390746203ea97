#include "base/log.h"
#include "s3api/bucket.h"
#include "s3api/op_handlers.h"
#include "s3api/public_block.h"
#include "s3api/service.h"
#include "s3api/xml.h"

#define CONFIG "public-block"
#define ROOT "PublicAccessBlockConfiguration"

static const struct {
    const char *name;
    size_t offset;
} elements[] = {
    {"BlockPublicAcls", offsetof(struct s3_public_block, block_acls)},
    {"IgnorePublicAcls", offsetof(struct s3_public_block, ignore_acls)},
    {"BlockPublicPolicy", offsetof(struct s3_public_block, block_policy)},
    {"RestrictPublicBuckets", offsetof(struct s3_public_block, restrict_policy)},
};

static bool *field(struct s3_public_block *block, size_t element)
{
    return (bool *)((char *)block + elements[element].offset);
}

static bool parse_element(const struct xml_node *node, struct s3_public_block *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
        if (!str_is(node->name, elements[i].name))
            continue;
        *field(out, i) = str_eq_nocase(node->text, STR("true"));
        return *field(out, i) || str_eq_nocase(node->text, STR("false"));
    }
    return false;
}

/* What is not named is off. */
static bool parse(struct s3_op *op, struct str document, struct s3_public_block *out)
{
    const struct xml_node *root = xml_parse(document, op->arena);
    bool ok = root && str_is(root->name, ROOT);
    *out = (struct s3_public_block){0};
    for (const struct xml_node *node = ok ? root->first_child : NULL; node; node = node->next)
        ok &= parse_element(node, out);
    return ok;
}

static void write_xml(struct s3_op *op, const struct s3_public_block *block)
{
    struct s3_public_block copy = *block;
    xml_begin(&op->out);
    xml_open_ns(&op->out, ROOT);
    for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
        xml_bool(&op->out, elements[i].name, *field(&copy, i));
    xml_close(&op->out, ROOT);
}

static struct s3_public_block all(bool value)
{
    return (struct s3_public_block){value, value, value, value};
}

/* False: the bucket has none. */
static enum s3_error load(struct s3_op *op, struct vfs_dir *bucket, struct s3_public_block *out, bool *out_found)
{
    CLEANUP(buf_done) struct buf document = buf_make(LIMIT_XML_BYTES);
    enum s3_error error = s3_bucket_config_read(op, bucket, CONFIG, &document);
    *out = all(op->service->block_public_access);
    *out_found = document.len > 0;
    if (error == S3_OK && document.len > 0 && !parse(op, buf_str(&document), out)) {
        op->error_cause = "the bucket's PublicAccessBlock cannot be read";
        error = S3_INTERNAL_ERROR;
    }
    return error;
}

struct s3_public_block s3_public_block_of(struct s3_op *op, struct vfs_dir *bucket)
{
    struct s3_public_block block = all(op->service->block_public_access);
    bool is_found;
    struct s3_error_detail detail = op->detail;
    if (bucket && load(op, bucket, &block, &is_found) != S3_OK) {
        log_debug("public-block.unreadable", "bucket=%.*s", STR_ARG(op->req.bucket));
        block = all(true);
    }
    op->detail = detail;
    return block;
}

enum s3_error s3_get_public_access_block_begin(struct s3_op *op)
{
    struct s3_public_block block;
    bool is_found;
    enum s3_error error = load(op, op->bucket, &block, &is_found);
    if (error != S3_OK)
        return error;
    if (!is_found && !op->service->block_public_access) {
        op->detail.bucket_name = op->req.bucket;
        return S3_NO_SUCH_PUBLIC_ACCESS_BLOCK;
    }
    write_xml(op, &block);
    return s3_reply_xml(op, 200);
}

enum s3_error s3_put_public_access_block_finish(struct s3_op *op)
{
    struct s3_public_block block;
    if (!parse(op, buf_str(&op->body_bytes), &block))
        return S3_MALFORMED_XML;
    write_xml(op, &block);
    enum s3_error error = s3_bucket_config_put(op, CONFIG, buf_str(&op->out));
    return error == S3_OK ? s3_reply_empty(op, 200) : error;
}

enum s3_error s3_delete_public_access_block_begin(struct s3_op *op)
{
    enum s3_error error = s3_bucket_config_delete(op, CONFIG);
    return error == S3_OK ? s3_reply_empty(op, 204) : error;
}
