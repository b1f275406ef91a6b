"""Sessions that fly, the ledger they write to, and the supervisor that starts them."""
