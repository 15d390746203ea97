# Unit tests of s3api/
