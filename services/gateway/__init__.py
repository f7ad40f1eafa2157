"""The gateway: taskstate for browsers, over HTTP and server-sent events.

It owns nothing and decides nothing. Every answer is TaskState's, read by gRPC and rendered as the one flat JSON object of
`taskstate.json_view`; any number of gateways may run, and each may be killed at any time.

- `app` composes the routes (`task_routes`, `agent_routes`, `stream_route`, `system_routes`, `page_routes`), `server` serves
  them, `__main__` only puts settings and parts together.
- What comes in is read strictly: `json_body`, `strict_route`, `query`, `models`, and `http_protocol` below them.
- `upstream` calls TaskState, with a deadline and the actor on each call; `errors` holds the one shape of errors and the
  one table from gRPC codes to HTTP statuses.
- The stream is the only part with a life of its own. One `shared_watch` per process follows all tasks and publishes each
  change, rendered once, into the `fan_out`; each browser has a `subscription` there with a bounded queue. A browser that is
  new, resumes, or was too slow first reads a watch of its own from its cursor until it is as far as the shared one
  (`catch_up`), then joins. Thus no browser costs TaskState a permanent stream, a slow one costs this process a bounded
  amount of memory and delays nobody, and a cursor is all the state a client needs.
"""
