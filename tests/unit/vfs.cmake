# Unit tests of vfs/
