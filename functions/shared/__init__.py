"""What two or more functions use: domain types, ports and their adapters."""
