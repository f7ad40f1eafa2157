"""The service processes: `python -m services.taskstate`, `services.scheduler`, `services.gateway`, and `services.up`.

Never put this folder itself on `sys.path`: `services/taskstate` would shadow the SDK package `taskstate`.
"""
