"""The `cpc-keras` command."""
