# Unit tests of gateway/
