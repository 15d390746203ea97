/* Listings of real directories against a model that knows nothing of directories: a sorted array of keys. What cannot be
 * fails the test. Thread: one at a time, but pages of one bucket may be listed while others change it. */
#ifndef TESTS_SUPPORT_LISTING_MODEL_H
#define TESTS_SUPPORT_LISTING_MODEL_H

#include "s3api/listing.h"

#define LISTING_KEYS_MAX 4096

/* The volume of all buckets: set-up and tear-down of a group of tests. */
int listing_open_volume(void **state);
int listing_close_volume(void **state);

/* A directory for each test, and what a listing of it must show. */
struct bucket {
    char name[64];
    char path[128];
    struct vfs_dir *dir;
    char *keys[LISTING_KEYS_MAX];
    size_t key_count;
    char *pending[LISTING_KEYS_MAX]; /* directories made through POSIX, with their '/' */
    size_t pending_count;
};

struct bucket *bucket_new(const char *name);
void bucket_free(struct bucket *b);
/* Changes what must be shown, not the directory. */
void bucket_expect(struct bucket *b, const char *key);
void bucket_forget(struct bucket *b, const char *key);
/* As S3 does it: parents are made on the way. The forms with `try` change the directory only, and are false when the tree has
 * no place for it. */
void bucket_put(struct bucket *b, const char *key);
bool bucket_try_put(struct bucket *b, const char *key);
/* A directory object: `path` without its '/'. */
void bucket_put_directory(struct bucket *b, const char *path);
bool bucket_try_put_directory(struct bucket *b, const char *path);
/* A directory that was made on the way to something that is no more. */
bool bucket_left_over(struct bucket *b, const char *path);
/* Through POSIX. */
int bucket_posix_path(const struct bucket *b, const char *path, char out[2048]);
void bucket_posix_mkdir(struct bucket *b, const char *path);
bool bucket_try_posix_mkdir(struct bucket *b, const char *path);
void bucket_posix_file(const struct bucket *b, const char *path);
/* When all is made: directories made through POSIX become keys when nothing is below them; keys get into order. */
void bucket_settle(struct bucket *b);

struct page {
    struct str entries[LISTING_KEYS_MAX];
    bool is_prefix[LISTING_KEYS_MAX];
    size_t count;
    bool truncated;
    struct str last;
    struct arena *arena;
};

struct page *page_new(void);
void page_free(struct page *p);
/* What is really listed. */
void page_list(const struct bucket *b, const struct s3_list_query *q, struct page *out);

/* All pages, each against the model. */
void check_pages(const struct bucket *b, struct str prefix, struct str delimiter, struct str after, uint32_t max);
/* With all kinds of delimiters and sizes of a page. */
void check_all(const struct bucket *b, struct str prefix, struct str after);

#endif
