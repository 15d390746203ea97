# Unit tests of gateway/
add_unit_test(gateway_access_log LIB gateway)
add_unit_test(gateway_http_chunked LIB gateway)
add_unit_test(gateway_http_parse LIB gateway)
add_unit_test(gateway_http_write LIB gateway)
add_unit_test(gateway_peer LIB gateway)
