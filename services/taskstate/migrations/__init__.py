"""Migrations of the database: forward only, expand before contract, run by `python -m services.taskstate migrate`."""
