"""Scripts, scenes and pixels as the tests of the service need them."""
