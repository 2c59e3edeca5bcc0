"""Messages in, e-mail out: one for each conversion that was completed or has failed."""
