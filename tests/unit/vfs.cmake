# Unit tests of vfs/
add_unit_test(vfs_path LIB vfs)
