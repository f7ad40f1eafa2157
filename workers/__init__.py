"""The worker of this deployment: a supervisor with the tasks that ship here.

``python -m workers --queues default=2,agent`` runs it. The supervisor itself is the SDK's (``taskstate.worker``); here are
only tasks: ``canary`` for drills and checks, ``knowledge_base`` for real work. Another deployment has its own package of
tasks and starts them with ``taskstate worker --tasks my.tasks``.
"""
