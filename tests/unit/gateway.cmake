# Unit tests of gateway/
add_unit_test(gateway_access_log LIB gateway)
add_unit_test(gateway_config LIB gateway)
add_unit_test(gateway_http_chunked LIB gateway)
add_unit_test(gateway_http_parse LIB gateway)
add_unit_test(gateway_http_write LIB gateway)
add_unit_test(gateway_loop LIB gateway)
add_unit_test(gateway_peer LIB gateway)
add_unit_test(gateway_progress LIB gateway)
add_unit_test(gateway_workers LIB gateway)

# Over real sockets, with the fake engine in place of s3api.
set(gateway_rig ../support/fake_s3.c ../support/gateway_rig.c)
add_unit_test(gateway_conn LIB gateway SOURCES ${gateway_rig})
add_unit_test(gateway_exchange LIB gateway SOURCES ${gateway_rig})
add_unit_test(gateway_tls LIB gateway SOURCES ${gateway_rig})
target_link_libraries(gateway_tls_test PRIVATE PkgConfig::LIBSSL)
add_unit_test(gateway_mount_options LIB gateway)
add_unit_test(gateway_mount_state LIB gateway)
