# Unit tests of s3api/
add_unit_test(s3api_key LIB s3api)
add_unit_test(s3api_xml LIB s3api)
add_unit_test(s3api_route LIB s3api)
add_unit_test(s3api_checksum LIB s3api)
add_unit_test(s3api_error LIB s3api)
add_unit_test(s3api_aws_chunked LIB s3api)
add_unit_test(s3api_body LIB s3api)
