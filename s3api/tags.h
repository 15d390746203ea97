/* Tag sets of objects and buckets: the header's form, the XML document, the rules (AWS "Object tagging": 10 or 50 tags, keys of
 * 1 to 128 and values of up to 256 characters, letters, digits, blanks and + - = . _ : / @). Thread: worker. */
#ifndef S3API_TAGS_H
#define S3API_TAGS_H

#include "s3api/objmeta.h"
#include "s3api/op.h"

struct xml_node;

/* Name of a bucket's document of tags (s3_bucket_config_…): the answer of GetBucketTagging. */
#define S3_TAGGING_CONFIG "tagging"

/* "k=v&k2=v2" taken apart, and put together. -EINVAL: a bad escape; -E2BIG: more tags than tags_max. */
MUST_USE int s3_tags_split_query(struct str text, size_t tags_max, struct arena *arena, struct s3_pairs *out);
void s3_tags_write_query(const struct s3_pairs *tags, struct buf *out);
/* x-amz-tagging's, checked. */
enum s3_error s3_tags_parse_query(struct s3_op *op, struct str text, size_t tags_max, struct s3_pairs *out);
/* <Tag><Key/><Value/></Tag>…, the children of an element, checked. */
enum s3_error s3_tags_read_set(struct s3_op *op, const struct xml_node *set, size_t tags_max, struct s3_pairs *out);
/* <Tagging><TagSet><Tag><Key/><Value/></Tag>…, checked. */
enum s3_error s3_tags_parse_xml(struct s3_op *op, struct str document, size_t tags_max, struct s3_pairs *out);
/* Writes the same document into op->out. */
void s3_tags_write_xml(struct s3_op *op, const struct s3_pairs *tags);

#endif
