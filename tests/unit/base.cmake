# Unit tests of base/
