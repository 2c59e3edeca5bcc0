"""The functions: each folder but `shared` is deployed alone, and none of them knows where it runs."""
