# Unit tests of vfs/
add_unit_test(vfs_path LIB vfs)
add_unit_test(vfs_pool LIB vfs)
add_unit_test(vfs_view LIB vfs)
add_unit_test(vfs_sync LIB vfs)
# meta/: settings
add_unit_test(vfs_settings LIB vfs)
# object stores
add_unit_test(vfs_rate LIB vfs)
add_unit_test(vfs_store_s3 LIB vfs)
target_link_libraries(vfs_store_s3_test PRIVATE test_store_rig)
# meta/
add_unit_test(vfs_meta_engine LIB test_meta_rig)
add_unit_test(vfs_meta_memo LIB test_meta_rig)
add_unit_test(vfs_meta_node LIB test_meta_rig)
add_unit_test(vfs_meta_crash LIB test_meta_rig)
add_unit_test(vfs_meta_check LIB test_meta_rig)
add_unit_test(vfs_meta_tree LIB test_meta_rig)
add_unit_test(vfs_slices LIB vfs)
add_unit_test(vfs_mentions LIB vfs)
# meta/: data, space, sessions
add_unit_test(vfs_ranges LIB vfs)
add_unit_test(vfs_meta_data LIB test_meta_rig)
add_unit_test(vfs_meta_lock LIB test_meta_rig)
add_unit_test(vfs_meta_volume LIB test_meta_rig)
# The official client, where tests/juicefs-client put it; SLUICE_JUICEFS names another.
add_unit_test(vfs_meta_official LIB vfs)
target_compile_definitions(vfs_meta_official_test PRIVATE TEST_JUICEFS="${PROJECT_SOURCE_DIR}/build/juicefs/juicefs")
# data of JuiceFS-format volumes
add_unit_test(vfs_codec LIB vfs)
add_unit_test(vfs_data LIB vfs)
target_link_libraries(vfs_data_test PRIVATE test_store_rig test_fake_meta)
add_unit_test(vfs_disk LIB vfs)
add_unit_test(vfs_data_disk LIB vfs)
target_link_libraries(vfs_data_disk_test PRIVATE test_store_rig test_fake_meta)
add_unit_test(vfs_fuse_unsaved LIB vfs)
# jfs/
add_unit_test(vfs_jfs_inherit LIB test_meta_rig)
add_unit_test(vfs_jfs_state LIB test_meta_rig)
