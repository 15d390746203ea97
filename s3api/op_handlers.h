/* The handlers that rows of op_table.c name, by operation: s3_<operation>_begin, _sink, _finish, _produce, _end; what
 * each must do stands at struct s3_op_row. Grouped by the file that defines them. Included by op_table.c and op_*.c
 * only. */
#ifndef S3API_OP_HANDLERS_H
#define S3API_OP_HANDLERS_H

#include "s3api/op.h"

/* op_service.c */
enum s3_error s3_list_buckets_begin(struct s3_op *op);
enum s3_error s3_not_implemented_begin(struct s3_op *op);

/* op_bucket.c */
enum s3_error s3_create_bucket_begin(struct s3_op *op);
enum s3_error s3_create_bucket_finish(struct s3_op *op);
enum s3_error s3_delete_bucket_begin(struct s3_op *op);
enum s3_error s3_head_bucket_begin(struct s3_op *op);
enum s3_error s3_get_bucket_location_begin(struct s3_op *op);

/* op_bucket_config.c: the answers that follow from having no such configuration are shared by all of its kind. */
enum s3_error s3_absent_config_begin(struct s3_op *op);
enum s3_error s3_delete_absent_config_begin(struct s3_op *op);
enum s3_error s3_default_config_begin(struct s3_op *op);
enum s3_error s3_get_bucket_tagging_begin(struct s3_op *op);
enum s3_error s3_put_bucket_tagging_finish(struct s3_op *op);
enum s3_error s3_delete_bucket_tagging_begin(struct s3_op *op);
enum s3_error s3_object_lock_missing_begin(struct s3_op *op);

/* op_acl.c */
enum s3_error s3_get_bucket_ownership_controls_begin(struct s3_op *op);
enum s3_error s3_put_bucket_ownership_controls_finish(struct s3_op *op);
enum s3_error s3_delete_bucket_ownership_controls_begin(struct s3_op *op);
enum s3_error s3_get_bucket_acl_begin(struct s3_op *op);
enum s3_error s3_put_bucket_acl_finish(struct s3_op *op);
enum s3_error s3_get_object_acl_begin(struct s3_op *op);
enum s3_error s3_put_object_acl_finish(struct s3_op *op);

/* op_cors.c */
enum s3_error s3_get_bucket_cors_begin(struct s3_op *op);
enum s3_error s3_put_bucket_cors_finish(struct s3_op *op);
enum s3_error s3_delete_bucket_cors_begin(struct s3_op *op);
enum s3_error s3_preflight_begin(struct s3_op *op);
/* op_bucket_policy.c */
enum s3_error s3_get_bucket_policy_begin(struct s3_op *op);
enum s3_error s3_put_bucket_policy_finish(struct s3_op *op);
enum s3_error s3_delete_bucket_policy_begin(struct s3_op *op);
enum s3_error s3_get_bucket_policy_status_begin(struct s3_op *op);

/* op_public_block.c */
enum s3_error s3_get_public_access_block_begin(struct s3_op *op);
enum s3_error s3_put_public_access_block_finish(struct s3_op *op);
enum s3_error s3_delete_public_access_block_begin(struct s3_op *op);

/* op_list.c: the three listings differ in their parameters and documents only. */
enum s3_error s3_list_objects_begin(struct s3_op *op);
enum s3_error s3_list_objects_v2_begin(struct s3_op *op);
enum s3_error s3_list_object_versions_begin(struct s3_op *op);
enum s3_error s3_list_objects_finish(struct s3_op *op);
void s3_list_objects_end(struct s3_op *op);

/* op_get.c */
enum s3_error s3_get_object_begin(struct s3_op *op);
void s3_get_object_end(struct s3_op *op);
enum s3_error s3_head_object_begin(struct s3_op *op);
void s3_head_object_end(struct s3_op *op);

/* op_put.c */
enum s3_error s3_put_object_begin(struct s3_op *op);
enum s3_error s3_put_object_sink(struct s3_op *op, struct pieces p);
enum s3_error s3_put_object_finish(struct s3_op *op);
void s3_put_object_end(struct s3_op *op);

/* op_form.c */
enum s3_error s3_post_object_begin(struct s3_op *op);
enum s3_error s3_post_object_sink(struct s3_op *op, struct pieces p);
enum s3_error s3_post_object_finish(struct s3_op *op);
void s3_post_object_end(struct s3_op *op);

/* op_sts.c */
enum s3_error s3_sts_finish(struct s3_op *op);

/* op_copy.c */
enum s3_error s3_copy_object_begin(struct s3_op *op);
enum s3_error s3_copy_object_finish(struct s3_op *op);
void s3_copy_object_end(struct s3_op *op);

/* op_rename.c */
enum s3_error s3_rename_object_begin(struct s3_op *op);

/* op_delete.c */
enum s3_error s3_delete_object_begin(struct s3_op *op);
enum s3_error s3_delete_objects_finish(struct s3_op *op);

/* op_attr.c */
enum s3_error s3_get_object_attributes_begin(struct s3_op *op);
enum s3_error s3_get_object_tagging_begin(struct s3_op *op);
enum s3_error s3_put_object_tagging_finish(struct s3_op *op);
enum s3_error s3_delete_object_tagging_begin(struct s3_op *op);

/* op_multipart.c, op_part.c, op_complete.c, op_multipart_list.c */
enum s3_error s3_create_multipart_upload_begin(struct s3_op *op);
enum s3_error s3_upload_part_begin(struct s3_op *op);
enum s3_error s3_upload_part_sink(struct s3_op *op, struct pieces p);
enum s3_error s3_upload_part_finish(struct s3_op *op);
void s3_upload_part_end(struct s3_op *op);
enum s3_error s3_upload_part_copy_begin(struct s3_op *op);
enum s3_error s3_upload_part_copy_finish(struct s3_op *op);
void s3_upload_part_copy_end(struct s3_op *op);
enum s3_error s3_complete_multipart_upload_begin(struct s3_op *op);
enum s3_error s3_complete_multipart_upload_finish(struct s3_op *op);
void s3_complete_multipart_upload_end(struct s3_op *op);
enum s3_error s3_abort_multipart_upload_begin(struct s3_op *op);
enum s3_error s3_list_parts_begin(struct s3_op *op);
enum s3_error s3_list_multipart_uploads_begin(struct s3_op *op);
enum s3_error s3_list_multipart_uploads_finish(struct s3_op *op);
void s3_list_multipart_uploads_end(struct s3_op *op);

#endif
