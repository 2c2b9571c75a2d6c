"""What every service stands on. Names are imported from the modules, so that a process loads only what it uses.

run           run(), running_service(), Parts: signals, drain order, exit codes
settings      ServiceSettings and its table
topology      topology(), ensure_topology(): streams, consumers, buckets
worker        Worker: the pull loop; delivery.Delivery is what its handler gets
broker        ServiceBroker: FastStream on the bus's connection
terminal      TerminalWriter: the end of a request, stored exactly once
health        serving_health(): /healthz, /readyz
logs          set_up_logs()
notify        notify(): READY=1 for a supervisor
allocation, pulls   the pure core of the worker
"""
