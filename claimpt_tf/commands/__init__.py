"""One module a command of `claimpt`; each is imported when it is called."""
