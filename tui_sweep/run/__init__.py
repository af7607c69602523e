"""The loop: asyncio glue between decisions (core), hands (engines) and disk (store)."""
