/* Multipart uploads as a client makes them, over the engine. What the test does not ask about must succeed. Thread: as
 * the engine's. */
#ifndef TESTS_SUPPORT_MULTIPART_CLIENT_H
#define TESTS_SUPPORT_MULTIPART_CLIENT_H

#include "tests/support/s3_engine.h"

#define MPU_PART_MIN (5 * 1024 * 1024)

struct mpu {
    struct s3_engine *e;
    const char *target; /* "/bucket/key" */
    struct str id;
};

/* A part as Complete lists it. */
struct mpu_part {
    uint32_t number;
    struct str etag;  /* with its quotes */
    const char *more; /* further elements, or NULL */
};

/* headers: NULL-terminated, or NULL. */
struct mpu mpu_create(struct s3_engine *e, const char *target, const char *const *headers);
struct s3_answer *mpu_create_call(struct s3_engine *e, const char *target, const char *const *headers);
struct s3_answer *mpu_part_call(const struct mpu *u, uint32_t number, struct str bytes, const char *const *headers);
struct mpu_part mpu_part(const struct mpu *u, uint32_t number, struct str bytes);
/* The same by UploadPartCopy of `source` ("/bucket/key"); range NULL: all of it. */
struct s3_answer *mpu_copy_call(const struct mpu *u, uint32_t number, const char *source, const char *range,
                                const char *const *headers);
struct s3_answer *mpu_complete_call(const struct mpu *u, const struct mpu_part *parts, size_t count,
                                    const char *const *headers);
struct s3_answer *mpu_complete_document(const struct mpu *u, struct str document, const char *const *headers);
struct s3_answer *mpu_abort_call(const struct mpu *u);
struct s3_answer *mpu_list_parts_call(const struct mpu *u, const char *query);
/* Bytes that are easily told from those of another seed. From the engine's arena. */
struct str mpu_bytes(struct s3_engine *e, size_t size, unsigned seed);

#endif
