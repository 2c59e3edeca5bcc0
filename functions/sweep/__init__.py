"""Every minute: what was left undone is done."""
