"""The wire: requests and answers as clients of Sentinel Hub write and read them."""
