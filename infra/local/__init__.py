"""The project on one machine: real servers without containers, and the processes of `make run`."""
