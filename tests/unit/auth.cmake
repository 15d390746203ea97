# Unit tests of auth/
