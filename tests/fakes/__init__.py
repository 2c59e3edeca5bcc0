"""In-memory stand-ins for ports. Each passes the contract test of its port, as the real adapter does."""
