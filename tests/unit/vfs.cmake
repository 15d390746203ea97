# Unit tests of vfs/
add_unit_test(vfs_path LIB vfs)
add_unit_test(vfs_view LIB vfs)
add_unit_test(vfs_sync LIB vfs)
# meta/: settings
add_unit_test(vfs_settings LIB vfs)
